from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.contracts import InputError
from tests.receivers import webhook


def test_a_message_goes_to_the_places_of_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.yaml").write_text(
        "name: gate\nschedule: {notify: [$HOOK]}\ntrain: {unread: here}\n"
    )
    line = [
        "notify",
        "--run",
        "gate-1",
        "--config",
        str(tmp_path / "c.yaml"),
        "--detail",
        "Its log: x",
        "--",
    ]
    with webhook() as (hook, posts):
        monkeypatch.setenv("HOOK", hook)
        done = CliRunner().invoke(
            app, [*line, "failure", "-- gate: train failed"], catch_exceptions=False
        )
        assert done.exit_code == 0
        with pytest.raises(InputError, match="'party': an event is failure, deadline, slice"):
            CliRunner().invoke(app, [*line, "party", "x"], catch_exceptions=False)
    (post,) = posts
    assert post["title"] == "Nightshift, gate: failure"
    assert post["message"].splitlines() == ["-- gate: train failed", "Its log: x", "Run: gate-1"]
