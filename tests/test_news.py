import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline import news, store
from pipeline.config import General
from pipeline.contracts import InputError
from pipeline.runner import Outcome
from pipeline.store import Run
from tests.receivers import webhook

ROOT = Path(__file__).resolve().parents[1]


def _followed(*states: str) -> list[dict[str, str]]:
    return [{"slice": f"slice {i}", "words": f"too dark {i}", "state": state} for i, state in enumerate(states)]


def _finished(home: Path, followed: list[dict[str, str]] | None, promoted: bool = True) -> Outcome:
    run = Run.begin(home / "r1")
    condition = {"name": "max_psi", "passed": False, "words": "darker: 0.4; at most 0.2"}
    summary: dict[str, Any] = {
        "run_id": "r1",
        "verdict": {"promoted": promoted, "headline": "promoted: all held" if promoted else "not promoted: too few"},
        "drift": {"conditions": [] if promoted else [condition]},
    }
    (run.path / "report").mkdir(exist_ok=True)
    store.write_json(run.file("summary"), summary | ({} if followed is None else {"followed": followed}))
    return Outcome(run, home / "reports" / "r1" / "index.html", promoted)


def _general(**plan: Any) -> General:
    return General.model_validate({"name": "gate", "schedule": plan})


def test_slices_that_are_new_or_back_are_told_once(tmp_path: Path) -> None:
    result = _finished(tmp_path, _followed("new", "open", "back", "closed", "growing", "shrinking"), promoted=False)
    with webhook() as (hook, posted):
        general = _general(notify=[hook], reports_url="https://gate.example/reports/")
        news.tell(result, general)
        news.tell(result, general)  # a task that was cleared
    (note,) = posted
    assert (note["event"], note["config"], note["run"]) == ("slice", "gate", "r1")
    assert [(s["slice"], s["state"]) for s in note["slices"]] == [("slice 0", "new"), ("slice 2", "back")]
    assert note["text"] == "gate: 2 groups of photos fail: new, too dark 0; back, too dark 2"
    assert note["report"] == "https://gate.example/reports/r1/index.html"
    assert note["also"] == ["not promoted: too few", "What arrived: darker: 0.4; at most 0.2"]


@pytest.mark.parametrize("followed", [None, [], _followed("open", "closed", "growing", "shrinking")])
def test_nothing_new_is_nothing_said(tmp_path: Path, followed: list[dict[str, str]] | None) -> None:
    with webhook() as (hook, posted):
        news.tell(_finished(tmp_path, followed, promoted=False), _general(notify=[hook]))
        news.tell(Outcome(Run.begin(tmp_path / "r2"), None, True), _general(notify=[hook]))  # it came to no report
    assert posted == []


def test_only_the_place_that_could_not_be_told_is_told_again(tmp_path: Path) -> None:
    result = _finished(tmp_path, _followed("new"))
    with webhook() as (good, posted):
        with webhook(503) as (bad, _):
            news.tell(result, _general(notify=[good, bad]))
        with webhook() as (mended, late):
            news.tell(result, _general(notify=[good, mended]))
    assert (len(posted), len(late)) == (1, 1)


def test_a_run_that_is_late_says_so_while_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "MINUTE", 0.02)
    run = Run.begin(tmp_path / "r1")
    with webhook() as (hook, posted):
        with news.watched(run, _general(notify=[hook], deadline_minutes=1000)):
            pass
        with news.watched(run, _general(notify=[hook])):
            time.sleep(0.05)
        assert posted == []
        with news.watched(run, _general(notify=[hook], deadline_minutes=1)):
            limit = time.monotonic() + 10
            while not posted and time.monotonic() < limit:
                time.sleep(0.01)
    assert [note["text"] for note in posted] == ["gate: not done after 1 minutes"]
    assert not [t for t in threading.enumerate() if isinstance(t, threading.Timer) and t.is_alive()]


def test_a_failure_is_told_and_goes_on_as_it_was(tmp_path: Path) -> None:
    with (
        webhook() as (hook, posted),
        pytest.raises(InputError, match=r"ingest\.data"),
        news.watched(Run.begin(tmp_path / "r1"), _general(notify=[hook])),
    ):
        raise InputError("ingest.data: photos: no such folder")
    assert [note["text"] for note in posted] == ["gate: the run failed: ingest.data: photos: no such folder"]


def test_the_command_line_tells_a_failure_and_a_dead_webhook_changes_no_exit_code(tmp_path: Path) -> None:
    """What a user of cron gets."""
    with webhook() as (hook, posted), webhook(500) as (dead, _):
        (tmp_path / "c.yaml").write_text("name: gate\ningest: {data: gone}\nschedule: {notify: [$DEAD, $HOOK]}\n")
        env = os.environ | {"HOOK": hook, "DEAD": dead, "PYTHONPATH": str(ROOT)}
        line = [sys.executable, "-m", "pipeline.cli", "run", "-c", "c.yaml"]
        done = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "notify: $DEAD could not be told: HTTPError: HTTP Error 500" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("nightshift: ")
    (note,) = posted
    assert (note["event"], note["config"]) == ("failure", "gate")
    assert "ingest.data" in note["text"]
