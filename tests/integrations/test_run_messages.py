import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import GeneralSettings
from pipeline.contracts import InputError
from pipeline.engine.run_publishing import RunOutcome
from pipeline.integrations import run_messages
from pipeline.storage import artifact_store
from pipeline.storage.artifact_store import RunFolder
from tests.receivers import webhook

ROOT = Path(__file__).resolve().parents[1]


def _followed(*states: str) -> list[dict[str, str]]:
    return [
        {"slice": f"slice {i}", "words": f"too dark {i}", "state": state}
        for i, state in enumerate(states)
    ]


def _finished(
    home: Path, followed: list[dict[str, str]] | None, promoted: bool = True
) -> RunOutcome:
    run = RunFolder.open_or_create(home / "r1")
    condition = {"name": "max_psi", "passed": False, "words": "darker: 0.4; at most 0.2"}
    summary: dict[str, Any] = {
        "run_id": "r1",
        "verdict": {
            "promoted": promoted,
            "headline": "promoted: all held" if promoted else "not promoted: too few",
        },
        "drift": {"conditions": [] if promoted else [condition]},
    }
    (run.path / "report").mkdir(exist_ok=True)
    artifact_store.write_json(
        run.get_artifact_path("summary"),
        summary | ({} if followed is None else {"followed": followed}),
    )
    return RunOutcome(run, home / "reports" / "r1" / "index.html", promoted)


def _general(**plan: Any) -> GeneralSettings:
    return GeneralSettings.model_validate({"name": "gate", "schedule": plan})


def test_slices_that_are_new_or_back_are_told_once(tmp_path: Path) -> None:
    result = _finished(
        tmp_path, _followed("new", "open", "back", "closed", "growing", "shrinking"), promoted=False
    )
    with webhook() as (hook, posted):
        general = _general(notify=[hook], reports_url="https://gate.example/reports/")
        run_messages.send_slices(result, general)
        run_messages.send_slices(result, general)  # a task that was cleared
    (post,) = posted
    assert post["title"] == "Nightshift, gate: slice"
    assert post["message"].splitlines() == [
        "gate: 2 groups of images fail", "- new: too dark 0", "- back: too dark 2", "not promoted: too few",
        "What arrived: darker: 0.4; at most 0.2", "Report: https://gate.example/reports/r1/index.html", "Run: r1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "followed", [None, [], _followed("open", "closed", "growing", "shrinking")]
)
def test_nothing_new_is_nothing_said(tmp_path: Path, followed: list[dict[str, str]] | None) -> None:
    with webhook() as (hook, posted):
        run_messages.send_slices(
            _finished(tmp_path, followed, promoted=False), _general(notify=[hook])
        )
        run_messages.send_slices(
            RunOutcome(RunFolder.open_or_create(tmp_path / "r2"), None, True),
            _general(notify=[hook]),
        )  # it came to no report
    assert posted == []


def test_only_the_place_that_could_not_be_told_is_told_again(tmp_path: Path) -> None:
    result = _finished(tmp_path, _followed("new"))
    with webhook() as (good, posted):
        with webhook(503) as (bad, _):
            run_messages.send_slices(result, _general(notify=[good, bad]))
        with webhook() as (mended, late):
            run_messages.send_slices(result, _general(notify=[good, mended]))
    assert (len(posted), len(late)) == (1, 1)


def test_a_run_that_is_late_says_so_while_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_messages, "SECONDS_PER_MINUTE", 0.02)
    run = RunFolder.open_or_create(tmp_path / "r1")
    with webhook() as (hook, posted):
        with run_messages.watch_run(run, _general(notify=[hook], deadline_minutes=1000)):
            pass
        with run_messages.watch_run(run, _general(notify=[hook])):
            time.sleep(0.05)
        assert posted == []
        with run_messages.watch_run(run, _general(notify=[hook], deadline_minutes=1)):
            limit = time.monotonic() + 10
            while not posted and time.monotonic() < limit:
                time.sleep(0.01)
    assert [post["message"].splitlines()[0] for post in posted] == [
        "gate: not done after 1 minutes"
    ]
    assert not [t for t in threading.enumerate() if isinstance(t, threading.Timer) and t.is_alive()]


def test_a_failure_is_told_and_goes_on_as_it_was(tmp_path: Path) -> None:
    with (
        webhook() as (hook, posted),
        pytest.raises(InputError, match=r"ingest\.data"),
        run_messages.watch_run(RunFolder.open_or_create(tmp_path / "r1"), _general(notify=[hook])),
    ):
        raise InputError("ingest.data: images: no such folder")
    assert [post["message"].splitlines()[0] for post in posted] == [
        "gate: the run failed: ingest.data: images: no such folder"
    ]


def test_the_command_line_tells_a_failure_and_a_dead_webhook_changes_no_exit_code(
    tmp_path: Path,
) -> None:
    """What a user of cron gets."""
    with webhook() as (hook, posted), webhook(500) as (dead, _):
        (tmp_path / "c.yaml").write_text(
            "name: gate\ningest: {data: gone}\nschedule: {notify: [$DEAD, $HOOK]}\n"
        )
        env = os.environ | {"HOOK": hook, "DEAD": dead, "PYTHONPATH": str(ROOT)}
        line = [sys.executable, "-m", "pipeline.cli.app", "run", "-c", "c.yaml"]
        done = subprocess.run(
            line, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
    assert done.returncode == 2
    assert "notify: $DEAD could not be reached: it answered with status 500" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("nightshift: ")
    (post,) = posted
    assert post["title"] == "Nightshift, gate: failure"
    assert "ingest.data" in post["message"]
