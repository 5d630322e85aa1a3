"""Folders of a run that are put in the place of others, so that a kill loses neither.

Where the system can exchange two names in one step (Linux), a stage is there at every moment.
Elsewhere it is renamed aside first, and the next process that holds the run renames it back.

`STAGED_FOLDER` holds new versions of several stages. Before its file `ready` is written they are
discarded. Afterwards whoever holds the run next puts all of them into place.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
from pathlib import Path

from pipeline.graph import STAGES
from pipeline.storage.atomic_files import read_json_object, sync_folder, write_json

OLD_PREFIX, STAGING_PREFIX, SCRATCH_PREFIX = ".old-", ".tmp-", ".work-"
STAGED_FOLDER = ".staged"
READY_FILE = "ready"
_CURRENT_FOLDER = -100  # AT_FDCWD
_EXCHANGE_FLAG = 2  # RENAME_EXCHANGE


def _exchange_names(first: Path, second: Path) -> bool:
    """Exchange two names in one step, and return whether the system can do that."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    names = os.fsencode(first), os.fsencode(second)
    result = rename(_CURRENT_FOLDER, names[0], _CURRENT_FOLDER, names[1], _EXCHANGE_FLAG)
    return bool(result == 0)


def replace_folder(new_folder: Path, target: Path, old: Path | None = None) -> None:
    """Put `new_folder` in the place of `target`, and remove what was there.

    Args:
        new_folder: a complete folder beside the target.
        target: a folder, which need not exist.
        old: where the former one is renamed to; None for the place of `new_folder`.
    """
    old = old or new_folder.with_name(f"{OLD_PREFIX}{new_folder.name}")
    remove_folder(old)
    if not target.exists():
        new_folder.rename(target)
    elif _exchange_names(new_folder, target):
        new_folder.rename(old)
    else:
        target.rename(old)
        try:
            new_folder.rename(target)
        except OSError:
            old.rename(target)
            raise
    sync_folder(target.parent)
    remove_folder(old)


def swap_stage(run_path: Path, new_folder: Path, stage: str) -> None:
    """Put `new_folder` in the place of a stage, and remove the stage that was there."""
    replace_folder(new_folder, run_path / stage, run_path / f"{OLD_PREFIX}{stage}")


def remove_folder(folder: Path) -> None:
    """Remove a folder with its content, or a link or file of that name."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


def commit_staged_stages(run_path: Path) -> None:
    """Put every stage of `STAGED_FOLDER` into place; a kill is made up for by `recover_swaps`."""
    staged = run_path / STAGED_FOLDER
    hashes = {}
    for stage in STAGES:
        if (staged / stage.name).is_dir():
            hashes[stage.name] = _hash_record(staged / stage.name)
    write_json(staged / READY_FILE, hashes)
    sync_folder(staged)
    recover_swaps(run_path)


def _hash_record(stage_folder: Path) -> str:
    """Return the hash of a stage's record; empty if the stage is absent."""
    if not (stage_folder / "stage.json").is_file():
        return ""
    return hashlib.sha256((stage_folder / "stage.json").read_bytes()).hexdigest()


def recover_swaps(run_path: Path) -> None:
    """Complete or undo the swaps that a kill interrupted; the caller holds the run's lock."""
    for stage in STAGES:
        old, target = run_path / f"{OLD_PREFIX}{stage.name}", run_path / stage.name
        if (old / "stage.json").is_file() and not target.exists():
            old.rename(target)
        elif old.is_dir():
            remove_folder(old)
    staged = run_path / STAGED_FOLDER
    if (staged / READY_FILE).is_file():
        for name, new_hash in read_json_object(staged / READY_FILE).items():
            # A kill just after the exchange leaves the old stage among the staged ones.
            if _hash_record(run_path / name) != new_hash == _hash_record(staged / name):
                swap_stage(run_path, staged / name, name)
    if staged.is_symlink() or staged.exists():
        # The file `ready` goes last: without it a second kill would leave the work half done.
        for folder in staged.glob("*/"):
            remove_folder(folder)
        remove_folder(staged)


def remove_leftovers(run_path: Path) -> None:
    """Remove unfinished outputs and checkpoints of every stage; the caller holds the run's lock."""
    for prefix in (OLD_PREFIX, STAGING_PREFIX, SCRATCH_PREFIX):
        for folder in run_path.glob(f"{prefix}*"):
            remove_folder(folder)
