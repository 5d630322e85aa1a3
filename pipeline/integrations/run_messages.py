"""What a run reports to the places of `schedule.notify`, once: new slices, failure, lateness.

Under Airflow failures and deadlines are reported by its own callbacks, which also see a stage that
was killed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.config import GeneralSettings
from pipeline.engine.runner import RunOutcome
from pipeline.integrations.notifications import Event, Message, send_message
from pipeline.storage import artifact_store
from pipeline.storage.artifact_store import RunFolder

REPORTED_STATES = ("new", "back")
SECONDS_PER_MINUTE = 60.0
SENT_FILE = ".notified.json"
"""In the run's folder: the hash of what was sent, by place."""


def compose_slice_message(summary: Mapping[str, Any], config: str, report: str) -> Message | None:
    """Return the message on slices that the run before did not have, or None where there is none.

    A refusal and failed conditions of `monitor` are added as details.

    Args:
        summary: The run's `summary`.
        config: The config's name.
        report: The address or path of its page.
    """
    slices = [item for item in summary.get("followed") or [] if item["state"] in REPORTED_STATES]
    if not slices:
        return None
    verdict, drift = summary["verdict"], summary["drift"]
    details = [f"- {item['state']}: {item['words']}" for item in slices]
    details += [] if verdict["promoted"] else [str(verdict["headline"])]
    details += [
        f"What arrived: {item['words']}" for item in drift["conditions"] if not item["passed"]
    ]
    count = (
        "a group of images fails" if len(slices) == 1 else f"{len(slices)} groups of images fail"
    )
    return Message(
        Event.SLICE,
        config,
        str(summary["run_id"]),
        f"{config}: {count}",
        (*details, f"Report: {report}"),
    )


def _find_report(result: RunOutcome, general: GeneralSettings) -> str:
    url = general.schedule.reports_url
    return (
        f"{url.rstrip('/')}/{result.run.run_id}/index.html"
        if url
        else str(Path(result.report_path or "").resolve())
    )


def send_slices(result: RunOutcome, general: GeneralSettings) -> None:
    """Report a run's slices that are new or back, once to each place."""
    run, places = result.run, general.schedule.notify
    if result.report_path is None or not places:
        return
    message = compose_slice_message(
        run.load_artifact("summary"), general.name, _find_report(result, general)
    )
    if message is None:
        return
    path, mark = run.path / SENT_FILE, artifact_store.compute_key(message.body)
    sent = artifact_store.read_json(path) if path.is_file() else {}
    pending = [place for place in places if sent.get(place) != mark]
    failures = send_message(message, pending)
    artifact_store.write_json(
        path, sent | {place: mark for place in pending if place not in failures}
    )


@contextmanager
def watch_run(run: RunFolder, general: GeneralSettings) -> Iterator[None]:
    """Report that a run is late as soon as it is, and that it failed if it does."""
    plan = general.schedule

    def send_event(event: Event, text: str) -> None:
        send_message(
            Message(event, general.name, run.run_id, f"{general.name}: {text}"), plan.notify
        )

    minutes = plan.deadline_minutes or 0
    late = (Event.DEADLINE, f"not done after {minutes:g} minutes")
    timer = threading.Timer(SECONDS_PER_MINUTE * minutes, send_event, late)
    timer.daemon = True
    if minutes:
        timer.start()
    try:
        yield
    except Exception as error:
        if getattr(error, "exit_code", 2) > 1:  # of a typer.Exit: 1 is a refusal
            send_event(Event.FAILURE, f"the run failed: {error or type(error).__name__}")
        raise
    finally:
        timer.cancel()
