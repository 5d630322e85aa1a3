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
from pipeline.report.sentences.traffic_sentences import describe_condition
from pipeline.storage import artifact_store
from pipeline.storage.artifact_store import RunFolder
from tests.receivers import webhook

ROOT = Path(__file__).resolve().parents[2]
FAILED_CONDITION = {
    "name": "max_psi",
    "value": 0.4,
    "limit": 0.2,
    "passed": False,
    "exceeded": [{"label": "luminance", "value": 0.4}],
    "untested_reason": None,
}


def _build_followed(*states: str) -> list[dict[str, str]]:
    followed = []
    for k, state in enumerate(states):
        followed.append({"slice": f"slice {k}", "words": f"too dark {k}", "state": state})
    return followed


def _finish_run(
    folder: Path, followed: list[dict[str, str]] | None, is_promoted: bool = True
) -> RunOutcome:
    run = RunFolder.open_or_create(folder / "r1")
    verdict = {"promoted": is_promoted, "headline": "the headline"}
    conditions = [] if is_promoted else [FAILED_CONDITION]
    summary: dict[str, Any] = {"run_id": "r1", "verdict": verdict}
    summary["drift"] = {"conditions": conditions}
    summary["slices"] = [{"slice": "slice 0", "title": "dark", "failures": 6, "n": 12}]
    if followed is not None:
        summary["followed"] = followed
    (run.path / "report").mkdir(exist_ok=True)
    artifact_store.write_json(run.get_artifact_path("summary"), summary)
    return RunOutcome(run, folder / "reports" / "r1" / "index.html", is_promoted)


def _build_general(**schedule: Any) -> GeneralSettings:
    return GeneralSettings.model_validate({"name": "gate", "schedule": schedule})


def test_new_and_returned_slices_are_reported_once(tmp_path: Path) -> None:
    followed = _build_followed("new", "open", "back", "closed", "growing", "shrinking")
    outcome = _finish_run(tmp_path, followed, is_promoted=False)
    with webhook() as (hook, posted):
        general = _build_general(notify=[hook], reports_url="https://gate.example/reports/")
        run_messages.send_slices(outcome, general)
        run_messages.send_slices(outcome, general)  # as when a task is cleared
    (post,) = posted
    assert post["title"] == "Nightshift, gate: slice"
    first_line, *details = post["message"].splitlines()
    assert "2 groups" in first_line
    assert details == [
        "the headline",
        "- new: dark: 6 of its 12 images are misclassified",
        "- back: too dark 2",
        f"Arrived images: {describe_condition(FAILED_CONDITION)}",
        "Report: https://gate.example/reports/r1/index.html",
        "Run: r1",
    ]


@pytest.mark.parametrize(
    "followed", [None, [], _build_followed("open", "closed", "growing", "shrinking")]
)
def test_nothing_new_sends_nothing(tmp_path: Path, followed: list[dict[str, str]] | None) -> None:
    outcome = _finish_run(tmp_path, followed, is_promoted=False)
    without_report = RunOutcome(RunFolder.open_or_create(tmp_path / "r2"), None, True)
    with webhook() as (hook, posted):
        run_messages.send_slices(outcome, _build_general(notify=[hook]))
        run_messages.send_slices(without_report, _build_general(notify=[hook]))
    assert posted == []


def test_only_a_failed_destination_is_tried_again(tmp_path: Path) -> None:
    outcome = _finish_run(tmp_path, _build_followed("new"))
    with webhook() as (good, posted):
        with webhook(503) as (broken, _):
            run_messages.send_slices(outcome, _build_general(notify=[good, broken]))
        with webhook() as (repaired, posted_later):
            run_messages.send_slices(outcome, _build_general(notify=[good, repaired]))
    assert (len(posted), len(posted_later)) == (1, 1)


def _list_live_timers() -> list[threading.Thread]:
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    return [timer for timer in timers if timer.is_alive()]


def test_missed_deadline_is_reported_while_the_run_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_messages, "SECONDS_PER_MINUTE", 0.02)
    run = RunFolder.open_or_create(tmp_path / "r1")
    with webhook() as (hook, posted):
        with run_messages.watch_run(run, _build_general(notify=[hook], deadline_minutes=1000)):
            pass
        with run_messages.watch_run(run, _build_general(notify=[hook])):
            time.sleep(0.05)
        assert posted == []
        with run_messages.watch_run(run, _build_general(notify=[hook], deadline_minutes=1)):
            end = time.monotonic() + 10
            while not posted and time.monotonic() < end:
                time.sleep(0.01)
    (post,) = posted
    assert post["title"] == "Nightshift, gate: deadline"
    assert _list_live_timers() == []


def test_failure_is_reported_and_raised(tmp_path: Path) -> None:
    run = RunFolder.open_or_create(tmp_path / "r1")
    with (
        webhook() as (hook, posted),
        pytest.raises(InputError, match=r"ingest\.data"),
        run_messages.watch_run(run, _build_general(notify=[hook])),
    ):
        raise InputError("ingest.data: images: no such folder")
    (post,) = posted
    assert post["title"] == "Nightshift, gate: failure"
    assert "ingest.data: images: no such folder" in post["message"].splitlines()[0]


def test_command_reports_a_failure_and_a_dead_webhook_changes_no_exit_code(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "name: gate\ningest: {data: gone}\nschedule: {notify: [$DEAD, $HOOK]}\n"
    )
    command = [sys.executable, "-m", "pipeline.cli.app", "run", "-c", "c.yaml"]
    with webhook() as (hook, posted), webhook(500) as (dead, _):
        environment = os.environ | {"HOOK": hook, "DEAD": dead, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 2
    assert "notify: $DEAD could not be reached" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("nightshift: ")
    (post,) = posted
    assert post["title"] == "Nightshift, gate: failure"
    assert "ingest.data" in post["message"]
