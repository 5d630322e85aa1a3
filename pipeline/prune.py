"""Which runs are old enough to go, and which may never go: champions', pinned ones, one at work."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline import config, mirror, store
from pipeline.champion import taken
from pipeline.contracts import InputError
from pipeline.graph import STAGES
from pipeline.runner import publish_index
from pipeline.store import POINTER, Run

PIN = ".pinned"
_GOING = ".pruned-"


def pin(run: Run, pinned: bool) -> None:
    """Keep the run whatever is pruned, or no longer."""
    if pinned:
        store.write_text(run.path / PIN, "")
    else:
        (run.path / PIN).unlink(missing_ok=True)
    mirror.put(run, PIN)


def kept(home: Path) -> dict[str, str]:
    """Why a run is never pruned, by run id: champion, needed, pinned; runs that may go are not in it.

    Every run that the champion's pointer names in whatever way is kept, and every run whose champion was in force when
    one began that has not come to its end: going on with that one asks for it. Raises `InputError` where the pointer
    cannot be read.
    """
    every, path = store.runs(home), home / POINTER
    pointer = _text(store.read_json(path)) if path.is_file() else ""
    needed = "\n".join(_text(taken(run.path)) for run in every if STAGES[-1].name not in store.finished(run))
    reasons = (("champion", pointer), ("needed", needed))
    found = {r.run_id: next((why for why, text in reasons if _names(text, r.run_id)), "") for r in every}
    return {r.run_id: why for r in every if (why := found[r.run_id] or ("pinned" if (r.path / PIN).exists() else ""))}


def _text(pointer: Any) -> str:
    return json.dumps(pointer, ensure_ascii=False)


def _names(text: str, run_id: str) -> bool:
    return f'"{run_id}"' in text or f"/{run_id}/" in text


def prune(home: Path, keep: int, *, dry: bool = False) -> Iterator[str]:
    """Remove all runs but the `keep` newest and those that are kept, with their reports; yields the names.

    What another run took over from one of them stays with it: a stage is linked by hard links or copied. A run at work
    is passed over. dry: remove nothing. Raises `InputError`, before anything is removed, where the champion's pointer
    cannot be read.
    """
    for half in home.glob(f"{_GOING}*"):  # of a prune that was killed
        shutil.rmtree(half)
    never = kept(home)
    old = [run for run in store.runs(home)[keep:] if run.run_id not in never]
    pages: set[Path] = set()
    for run in old:
        if dry or _removed(run, pages):
            yield run.run_id
    for reports in pages:
        publish_index(home, reports)


def _removed(run: Run, pages: set[Path]) -> bool:
    """Remove a run at once, and its page; `pages` gathers the folders of pages. False where it is at work."""
    reports = _reports(run)
    going = run.path.with_name(_GOING + run.run_id)
    try:
        with run.lock(), mirror.held(run):
            mirror.erase(run)
            run.path.rename(going)
            (going / "run.json").unlink()
    except InputError:
        return False
    shutil.rmtree(going)
    if reports and (reports / run.run_id).is_dir():
        shutil.rmtree(reports / run.run_id)
        pages.add(reports)
    return True


def _reports(run: Run) -> Path | None:
    """Where the run's page was published, from its own config."""
    try:
        return Path(config.read(run.path / "config.yaml")["reports"])
    except (InputError, TypeError, KeyError):
        return None
