"""Removal of old runs, except champions, pinned runs and runs at work."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pipeline.contracts import InputError, RunBusyError
from pipeline.engine import published_pages
from pipeline.engine.progress_reporting import log_line
from pipeline.engine.published_pages import REMOVAL_PREFIX
from pipeline.engine.run_publishing import publish_runs_index
from pipeline.graph import STAGES
from pipeline.storage import artifact_store, champion_registry
from pipeline.storage.artifact_store import RunFolder, lock_file
from pipeline.storage.atomic_files import read_json_object
from pipeline.storage.champion_registry import (
    FOLDER,
    OLD_POINTER,
    POINTER_REMEDY,
    read_recorded_champion,
)
from pipeline.storage.run_record import PIN_FILE, PLAIN_NAME, list_foreign_entries


def set_pinned(run: RunFolder, is_pinned: bool) -> None:
    """Pin a run, so that it is never pruned, or remove the pin.

    Raises:
        InputError: the run was removed meanwhile.
    """
    if not is_pinned:
        (run.path / PIN_FILE).unlink(missing_ok=True)
        return
    try:
        artifact_store.write_text(run.path / PIN_FILE, "")
    except FileNotFoundError as error:
        raise InputError(f"{run.path}: another process removed this run") from error


def explain_protected_runs(runs_folder: Path) -> dict[str, str]:
    """Return why a run is never pruned, by run id: champion, needed or pinned.

    Every run that a champion's pointer mentions is protected. So is the run that was champion when
    an unfinished run began, since that run needs it to continue. Other runs are left out.

    Raises:
        InputError: a pointer cannot be read.
    """
    runs = artifact_store.list_runs(runs_folder)
    pointer_text = needed_text = ""
    for path in _list_pointer_paths(runs_folder):
        pointer_text += _serialize_pointer(read_json_object(path, POINTER_REMEDY)) + "\n"
    for run in runs:
        if STAGES[-1].name not in artifact_store.list_finished_stages(run):
            needed_text += _serialize_pointer(read_recorded_champion(run.path)) + "\n"
    reasons = {}
    for run in runs:
        if _is_run_mentioned(pointer_text, run.run_id):
            reasons[run.run_id] = "champion"
        elif _is_run_mentioned(needed_text, run.run_id):
            reasons[run.run_id] = "needed"
        elif (run.path / PIN_FILE).exists():
            reasons[run.run_id] = "pinned"
    return reasons


def _list_pointer_paths(runs_folder: Path) -> list[Path]:
    return [*sorted((runs_folder / FOLDER).glob("*.json")), *runs_folder.glob(OLD_POINTER)]


def _serialize_pointer(pointer: Any) -> str:
    return json.dumps(pointer, ensure_ascii=False)


def _is_run_mentioned(text: str, run_id: str) -> bool:
    return f'"{run_id}"' in text or f"/{run_id}/" in text


def prune_runs(
    runs_folder: Path,
    keep_count: int,
    *,
    dry_run: bool = False,
    log: Callable[[str], None] = log_line,
) -> Iterator[str]:
    """Remove all but the newest and the protected runs, with their reports, and yield their ids.

    Other runs keep the stages that they linked from a removed run, since these are hard links or
    copies. A run at work is skipped, and so is a link or a run with files of somebody else.

    Args:
        runs_folder: folder of all runs.
        keep_count: number of newest runs to keep.
        dry_run: yield the ids without removing anything.
        log: receives a line on each run that is skipped.

    Raises:
        InputError: a champion's pointer cannot be read; then nothing is removed.
    """
    protected = explain_protected_runs(runs_folder)
    runs, problems = artifact_store.scan_runs(runs_folder)
    for problem in problems:
        log(f"skipped: {problem}")
    if not dry_run:
        for leftover in runs_folder.glob(f"{REMOVAL_PREFIX}*/"):  # of a prune that was killed
            published_pages.complete_removal(leftover)
    for run in runs[keep_count:]:
        if run.run_id in protected:
            continue
        problem = _find_obstacle(run)
        if problem:
            log(f"skipped: {problem}")
        elif dry_run or _remove_run(run, log):
            yield run.run_id
    if not dry_run:
        for folder in published_pages.list_reports_folders(runs_folder):
            if folder.is_dir():
                publish_runs_index(runs_folder, folder)


def _find_obstacle(run: RunFolder) -> str:
    """Return one line on why a run's folder cannot be removed, or an empty string."""
    if run.path.is_symlink():
        return f"{run.path}: a symbolic link; remove the link or the run that it names"
    if entries := list_foreign_entries(run.path):
        return f"{run.path}: holds {entries[0]}, which nightshift did not write; move it away"
    return ""


def _remove_run(run: RunFolder, log: Callable[[str], None]) -> bool:
    """Remove a run and its pages, unless it is at work or became protected meanwhile."""
    try:
        with run.hold_lock():
            removed = _set_aside(run)
    except RunBusyError as error:
        log(f"skipped: {error}")
        return False
    except InputError:  # another process removed it
        return False
    if removed is None:
        log(f"skipped: {run.path}: a champion or a pin names it now")
        return False
    published_pages.complete_removal(removed)
    return True


def _set_aside(run: RunFolder) -> Path | None:
    """Rename a run that is to be removed, while no champion can move; None if it is protected."""
    runs_folder, removed = run.path.parent, run.path.with_name(REMOVAL_PREFIX + run.run_id)
    with ExitStack() as stack:
        for path in _list_lock_paths(run):
            stack.enter_context(lock_file(path))
        if run.run_id in explain_protected_runs(runs_folder):
            return None
        run.path.rename(removed)
    if (removed / PIN_FILE).exists():  # pinned between the two lines
        removed.rename(run.path)
        return None
    return removed


def _list_lock_paths(run: RunFolder) -> list[Path]:
    """Return the files to lock so that no pointer to a run moves meanwhile, sorted."""
    folder = run.path.parent / FOLDER
    name = champion_registry.read_config_name(run.path) or champion_registry.DEFAULT_NAME
    paths = set(folder.glob("*.json"))
    if PLAIN_NAME.fullmatch(name):
        paths.add(folder / f"{name}.json")
    return sorted(paths)
