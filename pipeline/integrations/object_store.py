"""Finished runs in an object store or another folder: pushed whole, never changed, pulled whole.

Files are uploaded first and their manifest `push.json` last, so that a run without a manifest is
not there. Any file system of fsspec will do (s3://, gs://, file://, a plain folder). Only the
champion's pointer ever changes in a store. It is put on a condition, so that two machines cannot
overwrite each other's.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from pipeline.contracts import InputError
from pipeline.engine.progress_reporting import create_tracker
from pipeline.graph import STAGES
from pipeline.integrations.remote_folder import RemoteFolder
from pipeline.storage import champion_registry
from pipeline.storage.artifact_store import RunFolder, hash_content, list_finished_stages
from pipeline.storage.champion_registry import PLAIN_NAME

MANIFEST = "push.json"
_MAX_NAME_BYTES = 255  # of one part of a file's name, as common file systems allow


class PushedFile(BaseModel, extra="forbid", frozen=True):
    """A file of a pushed run: its name in the run, its size in bytes and its SHA-256 (hex)."""

    name: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class PushManifest(BaseModel, extra="forbid", frozen=True):
    """What a pushed run consists of. Uploaded last, it makes the files a run."""

    push: Literal[1] = 1
    run_id: str
    files: tuple[PushedFile, ...]


def _list_files(run: Path) -> list[PushedFile]:
    """Return the files of a run, sorted by name.

    What is hidden stays here: locks, checkpoints, marks of this machine."""
    names = [
        path.relative_to(run)
        for path in sorted(run.rglob("*"))
        if path.is_file() and not path.is_symlink()
    ]
    names = [
        name
        for name in names
        if not any(part.startswith(".") for part in name.parts) and str(name) != MANIFEST
    ]
    hashed = create_tracker("push")(names, total=len(names), unit="files hashed")
    return [
        PushedFile(name=n.as_posix(), size=(run / n).stat().st_size, sha256=hash_content(run / n))
        for n in hashed
    ]


def _read_manifest(store: RemoteFolder, run_id: str) -> PushManifest | None:
    """Return a run's manifest, or None where it is absent or its upload was cut short."""
    known = store.read(f"{run_id}/{MANIFEST}" if run_id else MANIFEST)
    try:
        return PushManifest.model_validate_json(known[0]) if known else None
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            return None
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InputError(
            f"{store.address}/{run_id}: {MANIFEST}: {where}: {error.errors()[0]['msg']}"
        ) from error


def _check_run(run: RunFolder) -> None:
    missing = [stage.name for stage in STAGES if stage.name not in list_finished_stages(run)]
    if missing:
        raise InputError(
            f"{run.path}: not finished, {missing[0]} is missing; nightshift run --resume {run.path}"
        )
    if not PLAIN_NAME.fullmatch(run.run_id):
        raise InputError(
            f"{run.path}: {run.run_id!r} is no plain name for an object store; rename the folder"
        )
    for stage in STAGES:
        if damage := run.find_damage(stage.name):
            raise InputError(f"{damage}; make it anew with: nightshift run --resume {run.path}")


def push_run(run: RunFolder, destination: str) -> str:
    """Upload a finished run below a destination and return its address there.

    A second push of the same content changes nothing.

    Args:
        run: The run; every stage of it is finished.
        destination: An address of fsspec such as s3://bucket/runs, or a plain folder.

    Raises:
        InputError: The run is not finished or damaged, or another run of its id is there.
        ConnectionError: The store does not answer.
    """
    store = RemoteFolder.open(destination)
    with run.hold_lock():
        _check_run(run)
        manifest = PushManifest(run_id=run.run_id, files=tuple(_list_files(run.path)))
        address = f"{store.address}/{run.run_id}"
        known = _read_manifest(store, run.run_id)
        if known == manifest:
            return address
        if known:
            raise InputError(
                f"{address}: holds a run of this id with other content; "
                "a pushed run is never changed"
            )
        for file in create_tracker("push")(manifest.files, total=len(manifest.files), unit="files"):
            with store.translate_errors(f"{run.run_id}/{file.name}") as path:
                store.files.put_file(str(run.path / file.name), path)
        with store.translate_errors(f"{run.run_id}/{MANIFEST}") as path:
            store.files.pipe_file(path, manifest.model_dump_json(indent=1).encode())
    return address


def push_champion(run: RunFolder, destination: str) -> str:
    """Make a pushed run the champion of its config in a store, and return the pointer's address.

    The pointer is put only if it is still the one that was read, so that of two machines one wins.

    Args:
        run: The run, as it lies here.
        destination: The store that it was pushed to.

    Raises:
        InputError: The run has no model, or the store puts nothing on a condition.
        Busy: Another machine moved the pointer at the same moment.
        ConnectionError: The store does not answer.
    """
    store, kind = RemoteFolder.open(destination), champion_registry.kind_of(run)
    config = champion_registry.config_name(run.path) or champion_registry.DEFAULT_NAME
    name, how = f"{champion_registry.FOLDER}/{config}.json", "pushed"
    if store.is_local:
        with champion_registry.lock_pointer(Path(store.root), config) as known:
            champion_registry.set_champion(Path(store.root), config, known, (run.run_id, kind), how)
    elif store.can_swap:
        champion_registry.pointer_path(Path(), config)
        found = store.read(name)
        try:
            before = dict(json.loads(found[0])) if found else None
        except ValueError as error:
            raise InputError(
                f"{store.address}/{name}: cannot be read ({error}); remove it"
            ) from error
        now = champion_registry.model_of(PurePosixPath(store.root).name, run.run_id, kind)
        if moved := champion_registry.compose_move(before, now, how):
            store.swap(
                name,
                json.dumps(moved, indent=1, ensure_ascii=False).encode(),
                found[1] if found else None,
            )
    else:
        raise InputError(
            f"{store.address}: --champion needs a store that puts on a condition (s3://); "
            "use the alias of MLflow's registry or a mounted folder"
        )
    return f"{store.address}/{name}"


def _check_names(manifest: PushManifest, where: str) -> None:
    """Raise `InputError` for names that could lead out of the run's folder or hide in it."""
    if not PLAIN_NAME.fullmatch(manifest.run_id) or manifest.run_id != where.rpartition("/")[2]:
        raise InputError(
            f"{where}/{MANIFEST}: run_id {manifest.run_id!r} is not the plain name of this folder"
        )
    counts = Counter(file.name for file in manifest.files)
    for name, count in counts.items():
        path = PurePosixPath(name)
        is_plain = (
            name.isprintable() and "\\" not in name and str(path) == name and not path.is_absolute()
        )
        is_below = all(
            not p.startswith(".") and len(p.encode()) <= _MAX_NAME_BYTES for p in path.parts
        )
        is_folder_too = any(str(parent) in counts for parent in path.parents)
        if not name or not is_plain or not is_below or is_folder_too or count > 1:
            raise InputError(
                f"{where}/{MANIFEST}: {name!r} is not the name of a file below the run's folder"
            )


def _download(store: RemoteFolder, manifest: PushManifest, folder: Path) -> None:
    """Download every file into `folder`. Raises `InputError` for one of another size or hash."""
    home = folder.resolve()
    for file in create_tracker("pull")(manifest.files, total=len(manifest.files), unit="files"):
        target = (folder / file.name).resolve()
        if not target.is_relative_to(home):
            raise InputError(f"{store.address}: {file.name!r} leads out of the run's folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with store.translate_errors(file.name) as path:
            is_right_size = (
                store.files.info(path)["size"] == file.size
            )  # else it is not even downloaded
            if is_right_size:
                store.files.get_file(path, str(target))
        if (
            not is_right_size
            or target.stat().st_size != file.size
            or hash_content(target) != file.sha256
        ):
            raise InputError(
                f"{store.address}/{file.name}: not what was pushed (size or hash mismatch); "
                "push it again"
            )


def pull_run(source: str, runs_home: Path) -> RunFolder:
    """Download a pushed run into a folder of runs and return it; it appears there when it is whole.

    Args:
        source: The run's address, as `push_run` returned it.
        runs_home: The folder of all runs.

    Raises:
        InputError: There is no pushed run, it is damaged, its manifest names files outside the run,
            or another run of its id is here.
        ConnectionError: The store does not answer.
    """
    store = RemoteFolder.open(source)
    manifest = _read_manifest(store, "")
    if manifest is None:
        raise InputError(
            f"{store.address}: no pushed run is here ({MANIFEST} is absent or cut short)"
        )
    _check_names(manifest, store.address)
    target = runs_home / manifest.run_id
    if target.exists():
        return _compare_content(target, manifest)
    runs_home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runs_home, prefix=".pull-") as scratch:
        aside = Path(scratch) / manifest.run_id
        aside.mkdir()
        _download(store, manifest, aside)
        RunFolder.open_existing(aside)  # refuses a run of another version
        try:
            os.rename(aside, target)
        except OSError:
            if not target.exists():
                raise
            return _compare_content(target, manifest)  # another process pulled it meanwhile
    return RunFolder.open_existing(target)


def _compare_content(target: Path, manifest: PushManifest) -> RunFolder:
    """Return the run that is here. Raises `InputError` where its content is not the manifest's."""
    if tuple(_list_files(target)) != manifest.files:
        raise InputError(
            f"{target}: a run of this id with other content is here; rename or remove it first"
        )
    return RunFolder.open_existing(target)
