"""The manifest of a pushed run: its files with their sizes and hashes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, Field

from pipeline.contracts import InputError
from pipeline.engine.progress_reporting import create_tracker
from pipeline.storage.artifact_store import hash_content
from pipeline.storage.champion_registry import PLAIN_NAME

MANIFEST = "push.json"
# Longest part of a file's name in bytes, as common file systems allow.
_MAX_NAME_BYTES = 255


class PushedFile(BaseModel, extra="forbid", frozen=True):
    """A file of a pushed run.

    Attributes:
        name: path relative to the run's folder.
        size: size in bytes.
        sha256: hash in hexadecimal digits.
    """

    name: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class PushManifest(BaseModel, extra="forbid", frozen=True):
    """The content of a pushed run, uploaded last.

    Attributes:
        push: version of the format.
        run_id: the run's name.
        files: its files, sorted by name.
    """

    push: Literal[1] = 1
    run_id: str
    files: tuple[PushedFile, ...]


def _is_pushed(name: Path) -> bool:
    """Return whether a file is pushed; hidden files (locks, checkpoints) belong to this machine."""
    is_hidden = any(part.startswith(".") for part in name.parts)
    return not is_hidden and str(name) != MANIFEST


def list_pushed_files(run: Path) -> list[PushedFile]:
    """Return the files of a run to push, sorted by name."""
    names = []
    for path in sorted(run.rglob("*")):
        if path.is_file() and not path.is_symlink() and _is_pushed(path.relative_to(run)):
            names.append(path.relative_to(run))
    files = []
    for name in create_tracker("push")(names, total=len(names), unit="files hashed"):
        path = run / name
        files.append(
            PushedFile(name=name.as_posix(), size=path.stat().st_size, sha256=hash_content(path))
        )
    return files


def check_names(manifest: PushManifest, address: str) -> None:
    """Raise `InputError` for names that could lead out of the run's folder or hide in it."""
    if not PLAIN_NAME.fullmatch(manifest.run_id) or manifest.run_id != address.rpartition("/")[2]:
        raise InputError(
            f"{address}/{MANIFEST}: run_id {manifest.run_id!r} is not the plain name of this folder"
        )
    counts = Counter(file.name for file in manifest.files)
    for name, count in counts.items():
        is_folder_too = any(str(parent) in counts for parent in PurePosixPath(name).parents)
        if count > 1 or is_folder_too or not _is_safe_name(name):
            raise InputError(
                f"{address}/{MANIFEST}: {name!r} is not the name of a file below the run's folder"
            )


def _is_safe_name(name: str) -> bool:
    """Return whether a file of this name is below the run's folder, visible and portable."""
    path = PurePosixPath(name)
    if not name or not name.isprintable() or "\\" in name:
        return False
    if str(path) != name or path.is_absolute() or not path.parts:  # "." has no parts
        return False
    return all(
        not part.startswith(".") and len(part.encode()) <= _MAX_NAME_BYTES for part in path.parts
    )
