"""Which runs are old enough to go, and which may never go: champions', pinned ones, one at work."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline import config
from pipeline.contracts import InputError
from pipeline.engine.runner import publish_runs_index
from pipeline.graph import STAGES
from pipeline.storage import artifact_store
from pipeline.storage.artifact_store import RunFolder
from pipeline.storage.champion_registry import FOLDER, OLD_POINTER, recorded_champion

PIN_FILE = ".pinned"
_REMOVAL_PREFIX = ".pruned-"


def set_pinned(run: RunFolder, is_pinned: bool) -> None:
    """Keep the run whatever is pruned, or no longer."""
    if is_pinned:
        artifact_store.write_text(run.path / PIN_FILE, "")
    else:
        (run.path / PIN_FILE).unlink(missing_ok=True)


def explain_protected_runs(runs_folder: Path) -> dict[str, str]:
    """Why a run is never pruned, by run id: champion, needed, pinned; runs that may go are not in it.

    Every run that a champion's pointer names in whatever way is kept. So is the run that was champion
    when an unfinished run began, which needs it to go on. Raises `InputError` where a pointer cannot be
    read.
    """
    every, paths = (
        artifact_store.list_runs(runs_folder),
        [*(runs_folder / FOLDER).glob("*.json"), *runs_folder.glob(OLD_POINTER)],
    )
    pointer = "\n".join(_serialize_pointer(artifact_store.read_json(path)) for path in paths)
    unfinished = [
        run for run in every if STAGES[-1].name not in artifact_store.list_finished_stages(run)
    ]
    needed = "\n".join(_serialize_pointer(recorded_champion(run.path)) for run in unfinished)
    reasons = (("champion", pointer), ("needed", needed))
    found = {
        r.run_id: next((why for why, text in reasons if _is_run_mentioned(text, r.run_id)), "")
        for r in every
    }
    return {
        r.run_id: why
        for r in every
        if (why := found[r.run_id] or ("pinned" if (r.path / PIN_FILE).exists() else ""))
    }


def _serialize_pointer(pointer: Any) -> str:
    return json.dumps(pointer, ensure_ascii=False)


def _is_run_mentioned(text: str, run_id: str) -> bool:
    return f'"{run_id}"' in text or f"/{run_id}/" in text


def prune_runs(runs_folder: Path, keep_count: int, *, dry_run: bool = False) -> Iterator[str]:
    """Remove all runs but the `keep` newest and those that are kept, with their reports; yields the names.

    What another run took over from one of them stays with it: a stage is linked by hard links or copied. A run at work
    is passed over. dry: remove nothing. Raises `InputError`, before anything is removed, where a champion's pointer
    cannot be read.
    """
    for half in runs_folder.glob(f"{_REMOVAL_PREFIX}*"):  # of a prune that was killed
        shutil.rmtree(half)
    never = explain_protected_runs(runs_folder)
    old = [
        run for run in artifact_store.list_runs(runs_folder)[keep_count:] if run.run_id not in never
    ]
    pages: set[Path] = set()
    for run in old:
        if dry_run or _remove_run(run, pages):
            yield run.run_id
    for reports in pages:
        publish_runs_index(runs_folder, reports)


def _remove_run(run: RunFolder, report_folders: set[Path]) -> bool:
    """Remove a run at once, and its page; `pages` gathers the folders of pages. False where it is at work."""
    reports = _find_reports_folder(run)
    going = run.path.with_name(_REMOVAL_PREFIX + run.run_id)
    try:
        with run.hold_lock():
            run.path.rename(going)
            (going / "run.json").unlink()
    except InputError:
        return False
    shutil.rmtree(going)
    if reports and (reports / run.run_id).is_dir():
        shutil.rmtree(reports / run.run_id)
        report_folders.add(reports)
    return True


def _find_reports_folder(run: RunFolder) -> Path | None:
    """Where the run's page was published, from its own config."""
    try:
        return Path(config.read_config(run.path / "config.yaml")["reports"])
    except (InputError, TypeError, KeyError):
        return None
