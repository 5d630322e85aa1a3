"""The pages that runs published, and their removal.

A folder of runs lists the folders into which it published (`.reports.json`). Nothing else is
trusted for a deletion: the config in a run's folder may come from anywhere. A page is recognized
by its `summary.json`, which names the run like the page's folder. That file is written first and
removed last.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

import pandas as pd

from pipeline.contracts import InputError
from pipeline.storage.artifact_store import lock_file, write_json
from pipeline.storage.atomic_files import TEMPORARY_PREFIX, open_lock_file, read_json_object
from pipeline.storage.stage_swaps import remove_folder

REPORTS_FILE = ".reports.json"
SUMMARY_FILE = "summary.json"
REMOVAL_PREFIX, PULL_PREFIX = ".pruned-", ".pull-"
"""Folders of runs that are being removed, and of runs that are being downloaded."""
PULL_LOCK_FILE = ".lock"


def list_reports_folders(runs_folder: Path) -> list[Path]:
    """Return the folders into which this folder of runs published a page."""
    try:
        folders = read_json_object(runs_folder / REPORTS_FILE).get("folders")
    except InputError:
        return []
    if not isinstance(folders, list):
        return []
    names = [name for name in folders if isinstance(name, str) and "\0" not in name]
    return [Path(os.path.abspath(runs_folder.resolve() / name)) for name in names]


def register_reports_folder(runs_folder: Path, reports_folder: Path) -> None:
    """Add a folder to those into which this folder of runs published a page."""
    path = runs_folder / REPORTS_FILE
    with lock_file(path):
        known = list_reports_folders(runs_folder)
        if reports_folder.resolve() in known:
            return
        # Relative, so that a folder tree can be moved.
        folders = [
            os.path.relpath(folder, runs_folder.resolve())
            for folder in [*known, reports_folder.resolve()]
        ]
        write_json(path, {"folders": folders})


def is_page(folder: Path) -> bool:
    """Return whether a folder is a page that this program published for the run of its name."""
    if folder.is_symlink() or not (folder / SUMMARY_FILE).is_file():
        return False
    with suppress(InputError):
        return read_json_object(folder / SUMMARY_FILE).get("run_id") == folder.name
    return False


def list_pages(runs_folder: Path, run_id: str) -> list[Path]:
    """Return the published pages of a run."""
    folders = [folder / run_id for folder in list_reports_folders(runs_folder)]
    return [folder for folder in folders if is_page(folder)]


def list_all_pages(runs_folder: Path) -> list[Path]:
    """Return the published pages of all runs, sorted."""
    folders: list[Path] = []
    for reports_folder in list_reports_folders(runs_folder):
        folders += sorted(reports_folder.glob("*/"))
    return [folder for folder in folders if is_page(folder)]


def has_image(page: Path, names: Collection[str]) -> bool:
    """Return whether a page's table lists one of the images, or cannot be read."""
    try:
        table = pd.read_parquet(page / "images.parquet").astype(str)
    except (OSError, ValueError):
        return True
    columns = [column for column in ("image_id", "path") if column in table]
    return not columns or bool(table[columns].isin(list(names)).any(axis=None))


def remove_page(page: Path) -> None:
    """Remove a published page, its `summary.json` last; anything else of that name stays."""
    if not is_page(page):
        return
    for path in page.iterdir():
        if path.name != SUMMARY_FILE:
            remove_folder(path)
    (page / SUMMARY_FILE).unlink()
    with suppress(OSError):
        page.rmdir()


def remove_leftovers(runs_folder: Path, log: Callable[[str], None]) -> bool:
    """Remove what killed commands left beside the runs and in the folders of reports.

    Returns:
        False if another process still downloads a run.
    """
    for folder in list_reports_folders(runs_folder):
        for leftover in [
            *folder.glob(f"{TEMPORARY_PREFIX}*"),
            *folder.glob(f"*/{TEMPORARY_PREFIX}*"),
        ]:
            remove_folder(leftover)
    for removed in runs_folder.glob(f"{REMOVAL_PREFIX}*/"):
        complete_removal(removed)
    is_complete = True
    for pulled in runs_folder.glob(f"{PULL_PREFIX}*/"):
        if is_abandoned(pulled):
            remove_folder(pulled)
        else:
            log(f"{pulled}: another process downloads a run; call again afterwards")
            is_complete = False
    return is_complete


def complete_removal(removed: Path) -> None:
    """Remove a run that was renamed to be removed: its pages first, so that none is left over."""
    for page in list_pages(removed.parent, removed.name.removeprefix(REMOVAL_PREFIX)):
        remove_page(page)
    remove_folder(removed)


def is_abandoned(folder: Path) -> bool:
    """Return whether no process holds the lock in a folder of a download."""
    descriptor = open_lock_file(folder / PULL_LOCK_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
