"""Messages about a run for the destinations of `schedule.notify`, each sent once.

They report new slices, a failure, or a missed deadline. Under Airflow its own callbacks report
failures and deadlines, since they also cover a stage that was killed.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.config import GeneralSettings
from pipeline.contracts import InputError
from pipeline.domain.statuses import TrackState
from pipeline.engine.run_publishing import RunOutcome
from pipeline.integrations.notifications import Message, RunEvent, send_message
from pipeline.report.sentences.gate_sentences import get_plain_verdict
from pipeline.report.sentences.slice_sentences import describe_slice_counts
from pipeline.report.sentences.traffic_sentences import describe_condition
from pipeline.storage import artifact_store
from pipeline.storage.artifact_store import RunFolder
from pipeline.storage.atomic_files import read_json_object
from pipeline.storage.run_record import SENT_FILE

REPORTED_STATES = (TrackState.NEW, TrackState.BACK)
SECONDS_PER_MINUTE = 60.0


def compose_slice_message(summary: Mapping[str, Any], config: str, report: str) -> Message | None:
    """Return the message on slices that the run before did not have, None if there are none.

    The verdict and failed conditions of `monitor` are added as details.

    Args:
        summary: the run's summary.
        config: name of the config.
        report: address or path of the run's page.
    """
    slices = [item for item in summary.get("followed") or [] if item["state"] in REPORTED_STATES]
    if not slices:
        return None
    details = [get_plain_verdict(summary["verdict"])]
    rows = {row["slice"]: row for row in summary["slices"]}
    for item in slices:
        details.append(f"- {item['state']}: {_describe_slice(item, rows)}")
    for condition in summary["drift"]["conditions"]:
        if not condition["passed"]:
            details.append(f"Arrived images: {describe_condition(condition)}")
    details.append(f"Report: {report}")
    count = "a group of images fails"
    if len(slices) > 1:
        count = f"{len(slices)} groups of images fail"
    return Message(
        RunEvent.SLICE, config, str(summary["run_id"]), f"{config}: {count}", tuple(details)
    )


def _describe_slice(item: Mapping[str, Any], rows: Mapping[str, Any]) -> str:
    """Return a followed slice in words, with the counts that the page shows."""
    row = rows.get(item["slice"])
    if row is None:
        return str(item["words"])
    return f"{row['title']}: {describe_slice_counts(row)}"


def _find_report(outcome: RunOutcome, general: GeneralSettings) -> str:
    url = general.schedule.reports_url
    if url:
        return f"{url.rstrip('/')}/{outcome.run.run_id}/index.html"
    return str(Path(outcome.report_path or "").resolve())


def send_slices(
    outcome: RunOutcome, general: GeneralSettings, variables: Collection[str] = ()
) -> None:
    """Report a run's slices that are new or back, once to each destination.

    Args:
        outcome: the run's outcome.
        general: its settings.
        variables: environment variables that the config's own file names.
    """
    run, destinations = outcome.run, general.schedule.notify
    if outcome.report_path is None or not destinations:
        return
    report = _find_report(outcome, general)
    message = compose_slice_message(run.load_artifact("summary"), general.name, report)
    if message is None:
        return
    path = run.path / SENT_FILE
    message_hash = artifact_store.compute_key(message.body)
    sent = {}
    with suppress(InputError):  # a damaged record: the message is sent again
        sent = read_json_object(path) if path.is_file() else {}
    pending = [name for name in destinations if sent.get(name) != message_hash]
    failures = send_message(message, pending, variables)
    for name in pending:
        if name not in failures:
            sent[name] = message_hash
    artifact_store.write_json(path, sent)


@contextmanager
def watch_run(
    run: RunFolder, general: GeneralSettings, variables: Collection[str] = ()
) -> Iterator[None]:
    """Report a run that misses its deadline at that moment, and a run that fails.

    Args:
        run: the run.
        general: its settings.
        variables: environment variables that the config's own file names.
    """
    schedule = general.schedule

    def send_event(event: RunEvent, text: str) -> None:
        message = Message(event, general.name, run.run_id, f"{general.name}: {text}")
        send_message(message, schedule.notify, variables)

    minutes = schedule.deadline_minutes or 0
    deadline_text = f"not finished after {minutes:g} minutes"
    timer = threading.Timer(
        SECONDS_PER_MINUTE * minutes, send_event, (RunEvent.DEADLINE, deadline_text)
    )
    timer.daemon = True
    if minutes:
        timer.start()
    try:
        yield
    except Exception as error:
        # typer.Exit has an exit code; 1 means that the promotion was refused, which is no failure.
        if getattr(error, "exit_code", 2) > 1:
            send_event(RunEvent.FAILURE, f"the run failed: {error or type(error).__name__}")
        raise
    finally:
        timer.cancel()
