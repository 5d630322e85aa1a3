"""What a run has to say to the places of `schedule.notify`, once: slices that are new or back, failure, lateness.

Where Airflow runs the stages it tells failures and deadlines by itself, which it sees also where a stage was killed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline import notify, store
from pipeline.config import General
from pipeline.notify import Note
from pipeline.runner import Outcome
from pipeline.store import Run

STATES = ("new", "back")
MINUTE = 60.0  # seconds
TOLD = "told.json"  # in the run's folder: what was told, by place


def _send(note: Note, general: General, places: list[str]) -> dict[str, str]:
    return notify.send(note, places, general.schedule.mail_server, general.schedule.mail_from)


def _address(run: Run, general: General, page: Path) -> str:
    url = general.schedule.reports_url
    return f"{url.rstrip('/')}/{run.run_id}/index.html" if url else str(page.resolve())


def note_of(summary: Mapping[str, Any], config: str, report: str) -> Note | None:
    """What is said of a finished run: its slices that the run before did not have, a refusal, failed conditions of
    `monitor`. None where no slice is new or back, or slices were not followed."""
    every = summary.get("followed") or []
    found = [{key: item[key] for key in ("slice", "words", "state")} for item in every if item["state"] in STATES]
    if not found:
        return None
    verdict, drift = summary["verdict"], summary["drift"]
    also = [] if verdict["promoted"] else [str(verdict["headline"])]
    also += [f"What arrived: {item['words']}" for item in drift["conditions"] if not item["passed"]]
    what = "a group of photos fails" if len(found) == 1 else f"{len(found)} groups of photos fail"
    text = f"{config}: {what}: {'; '.join('{state}, {words}'.format(**item) for item in found)}"
    return Note("slice", config, str(summary["run_id"]), text, report, found, also)


def tell(result: Outcome, general: General) -> None:
    """Say which slices a run found new or back; where it was said before, it is not said again."""
    run, places = result.run, general.schedule.notify
    note = note_of(run.load("summary"), general.name, _address(run, general, result.report)) if result.report else None
    if note is None or not places:
        return
    path, mark = run.path / TOLD, store.key_of(note.text, note.also)
    told = store.read_json(path) if path.is_file() else {}
    left = [place for place in places if told.get(place) != mark]
    failed = _send(note, general, left)
    store.write_json(path, told | {place: mark for place in left if place not in failed})


@contextmanager
def watched(run: Run, general: General) -> Iterator[None]:
    """Say that the run is late, as soon as it is, and that it failed, if it does: for one that no scheduler watches."""
    plan = general.schedule

    def say(event: str, what: str) -> None:
        _send(Note(event, general.name, run.run_id, f"{general.name}: {what}"), general, plan.notify)

    minutes = plan.deadline_minutes
    timer = threading.Timer(MINUTE * (minutes or 0), say, ("deadline", f"not done after {minutes or 0:g} minutes"))
    timer.daemon = True
    if minutes:
        timer.start()
    try:
        yield
    except Exception as error:
        code = getattr(error, "exit_code", 2)  # of a typer.Exit
        if code > 1:
            say("failure", f"the run failed: {error or type(error).__name__}")
        raise
    finally:
        timer.cancel()
