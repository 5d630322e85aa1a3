"""Removal of old runs, except champions, pinned runs and runs at work."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline import config
from pipeline.contracts import InputError
from pipeline.engine.run_publishing import publish_runs_index
from pipeline.graph import STAGES
from pipeline.storage import artifact_store
from pipeline.storage.artifact_store import RunFolder
from pipeline.storage.champion_registry import FOLDER, OLD_POINTER, read_recorded_champion

PIN_FILE = ".pinned"
_REMOVAL_PREFIX = ".pruned-"


def set_pinned(run: RunFolder, is_pinned: bool) -> None:
    """Pin a run, so that it is never pruned, or remove the pin."""
    if is_pinned:
        artifact_store.write_text(run.path / PIN_FILE, "")
    else:
        (run.path / PIN_FILE).unlink(missing_ok=True)


def explain_protected_runs(runs_folder: Path) -> dict[str, str]:
    """Return why a run is never pruned, by run id: champion, needed or pinned.

    Every run that a champion's pointer mentions is protected. So is the run that was champion when
    an unfinished run began, since that run needs it to continue. Other runs are left out.

    Raises:
        InputError: a pointer cannot be read.
    """
    runs = artifact_store.list_runs(runs_folder)
    pointer_text = needed_text = ""
    for path in [*(runs_folder / FOLDER).glob("*.json"), *runs_folder.glob(OLD_POINTER)]:
        pointer_text += _serialize_pointer(artifact_store.read_json(path)) + "\n"
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


def _serialize_pointer(pointer: Any) -> str:
    return json.dumps(pointer, ensure_ascii=False)


def _is_run_mentioned(text: str, run_id: str) -> bool:
    return f'"{run_id}"' in text or f"/{run_id}/" in text


def prune_runs(runs_folder: Path, keep_count: int, *, dry_run: bool = False) -> Iterator[str]:
    """Remove all but the newest and the protected runs, with their reports, and yield their ids.

    Other runs keep the stages that they linked from a removed run, since these are hard links or
    copies. A run at work is skipped.

    Args:
        runs_folder: folder of all runs.
        keep_count: number of newest runs to keep.
        dry_run: yield the ids without removing anything.

    Raises:
        InputError: a champion's pointer cannot be read; then nothing is removed.
    """
    for leftover in runs_folder.glob(f"{_REMOVAL_PREFIX}*"):  # of a prune that was killed
        shutil.rmtree(leftover)
    protected = explain_protected_runs(runs_folder)
    report_folders: set[Path] = set()
    for run in artifact_store.list_runs(runs_folder)[keep_count:]:
        if run.run_id not in protected and (dry_run or _remove_run(run, report_folders)):
            yield run.run_id
    for folder in report_folders:
        publish_runs_index(runs_folder, folder)


def _remove_run(run: RunFolder, report_folders: set[Path]) -> bool:
    """Remove a run and its page, and add the page's folder to `report_folders`.

    Returns:
        False if the run is at work.
    """
    reports = _find_reports_folder(run)
    removal_path = run.path.with_name(_REMOVAL_PREFIX + run.run_id)
    try:
        with run.hold_lock():
            run.path.rename(removal_path)
            (removal_path / "run.json").unlink()
    except InputError:
        return False
    shutil.rmtree(removal_path)
    if reports and (reports / run.run_id).is_dir():
        shutil.rmtree(reports / run.run_id)
        report_folders.add(reports)
    return True


def _find_reports_folder(run: RunFolder) -> Path | None:
    """Return the folder of the run's published page, from its config."""
    try:
        path = run.path / "config.yaml"
        return config.read_general_settings(path, [stage.name for stage in STAGES]).reports
    except InputError:
        return None
