"""Finished runs in an object store or another folder: pushed and pulled as a whole, never changed.

The files are uploaded first and their manifest `push.json` last, so that a folder without a
manifest is not a run. Every file system of fsspec works (s3://, gs://, file://, a plain folder).
Only the pointer to the champion ever changes in a store. It is written with a conditional put, so
that two machines cannot overwrite each other's.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from pipeline.contracts import InputError
from pipeline.engine.progress_reporting import create_tracker
from pipeline.engine.published_pages import PULL_PREFIX, is_abandoned
from pipeline.graph import STAGES
from pipeline.integrations.push_manifest import (
    MANIFEST,
    PushManifest,
    check_names,
    list_pushed_files,
)
from pipeline.integrations.remote_folder import RemoteFolder
from pipeline.storage import champion_registry
from pipeline.storage.artifact_store import RunFolder, hash_content, list_finished_stages
from pipeline.storage.champion_registry import PLAIN_NAME
from pipeline.storage.run_record import assign_sequence
from pipeline.storage.stage_swaps import remove_folder

_MOVE_REASON = "pushed"


def _read_manifest(store: RemoteFolder, run_id: str) -> PushManifest | None:
    """Return the manifest of a run, None if it is absent or its upload was interrupted.

    Args:
        store: the folder of runs, or the run itself.
        run_id: name of the run in the folder; "" if `store` is the run.
    """
    stored = store.read(f"{run_id}/{MANIFEST}" if run_id else MANIFEST)
    if stored is None:
        return None
    try:
        return PushManifest.model_validate_json(stored[0])
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return None
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"{store.address}/{run_id}: {MANIFEST}: {key}: {first['msg']}") from error


def _check_run(run: RunFolder) -> None:
    """Raise `InputError` unless a run is finished, intact and of a plain name."""
    finished = list_finished_stages(run)
    missing = [stage.name for stage in STAGES if stage.name not in finished]
    if missing:
        raise InputError(
            f"{run.path}: not finished, {missing[0]} is missing; nightshift run --resume {run.path}"
        )
    if not PLAIN_NAME.fullmatch(run.run_id):
        raise InputError(
            f"{run.path}: {run.run_id!r} is not a plain name for an object store; rename the folder"
        )
    for stage in STAGES:
        if damage := run.find_damage(stage.name):
            raise InputError(f"{damage}; repair it with: nightshift run --resume {run.path}")


def push_run(run: RunFolder, destination: str) -> str:
    """Upload a finished run below a destination and return its address there.

    A second push of the same content changes nothing.

    Args:
        run: a run with all stages finished.
        destination: an address of fsspec such as s3://bucket/runs, or a plain folder.

    Raises:
        InputError: the run is not finished or damaged, or another run of its id is stored there.
        ConnectionError: the store does not respond.
    """
    store = RemoteFolder.open(destination)
    with run.hold_lock():
        _check_run(run)
        manifest = PushManifest(run_id=run.run_id, files=tuple(list_pushed_files(run.path)))
        address = f"{store.address}/{run.run_id}"
        stored_manifest = _read_manifest(store, run.run_id)
        if stored_manifest == manifest:
            return address
        if stored_manifest:
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

    The pointer is written only if it has not changed since it was read, so that
    only the first of two machines succeeds.

    Args:
        run: the local run.
        destination: the store to which it was pushed.

    Raises:
        InputError: the run has no model, or the store has no conditional put.
        RunBusyError: another machine moved the pointer at the same time.
        ConnectionError: the store does not respond.
    """
    store = RemoteFolder.open(destination)
    kind = champion_registry.get_model_kind(run)
    config = champion_registry.read_config_name(run.path) or champion_registry.DEFAULT_NAME
    pointer_name = f"{champion_registry.FOLDER}/{config}.json"
    if store.is_local:
        runs_folder = Path(store.root)
        with champion_registry.lock_pointer(runs_folder, config) as pointer:
            RunFolder.open_existing(runs_folder / run.run_id)  # a prune may have removed it there
            champion_registry.set_champion(
                runs_folder, config, pointer, (run.run_id, kind), _MOVE_REASON
            )
    elif store.can_swap:
        champion_registry.get_pointer_path(Path(), config)  # refuses a name that is not plain
        _swap_pointer(store, pointer_name, run.run_id, kind)
    else:
        raise InputError(
            f"{store.address}: --champion needs a store with a conditional put (s3://); "
            "use the alias of MLflow's registry or a mounted folder"
        )
    return f"{store.address}/{pointer_name}"


def _swap_pointer(store: RemoteFolder, pointer_name: str, run_id: str, kind: str) -> None:
    """Move a pointer in a store with a conditional put.

    Args:
        store: the folder of runs.
        pointer_name: name of the pointer in the store.
        run_id: the run to make champion.
        kind: kind of its model: candidate or baseline.
    """
    stored = store.read(pointer_name)
    pointer, tag = None, None
    if stored is not None:
        content, tag = stored
        try:
            pointer = champion_registry.parse_pointer(
                dict(json.loads(content)), f"{store.address}/{pointer_name}"
            )
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(
                f"{store.address}/{pointer_name}: cannot be read ({error}); remove it"
            ) from error
    model = champion_registry.build_pointer(PurePosixPath(store.root).name, run_id, kind)
    moved = champion_registry.compose_move(pointer, model, _MOVE_REASON)
    if moved:
        store.swap(pointer_name, json.dumps(moved, indent=1, ensure_ascii=False).encode(), tag)


def _download_files(store: RemoteFolder, manifest: PushManifest, folder: Path) -> None:
    """Download every file into `folder`.

    Raises:
        InputError: a file has another size or hash than in the manifest.
    """
    run_folder = folder.resolve()
    for file in create_tracker("pull")(manifest.files, total=len(manifest.files), unit="files"):
        target = (folder / file.name).resolve()
        if not target.is_relative_to(run_folder):
            raise InputError(f"{store.address}: {file.name!r} leads out of the run's folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with store.translate_errors(file.name) as path:
            # A file of another size is not downloaded at all.
            is_intact = store.files.info(path)["size"] == file.size
            if is_intact:
                store.files.get_file(path, str(target))
        if is_intact:
            is_intact = target.stat().st_size == file.size and hash_content(target) == file.sha256
        if not is_intact:
            raise InputError(
                f"{store.address}/{file.name}: not what was pushed (size or hash mismatch); "
                "push it again"
            )


def pull_run(source: str, runs_folder: Path) -> RunFolder:
    """Download a pushed run into a folder of runs and return it; it appears when it is complete.

    Args:
        source: the run's address, as `push_run` returned it.
        runs_folder: the folder of all runs.

    Raises:
        InputError: there is no pushed run, it is damaged, its manifest names files outside the run,
            or the folder holds another run of its id.
        ConnectionError: the store does not respond.
    """
    store = RemoteFolder.open(source)
    manifest = _read_manifest(store, "")
    if manifest is None:
        raise InputError(f"{store.address}: not a pushed run ({MANIFEST} is absent or incomplete)")
    check_names(manifest, store.address)
    target = runs_folder / manifest.run_id
    if target.exists():
        return _open_equal_run(target, manifest)
    runs_folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(runs_folder)
    with tempfile.TemporaryDirectory(dir=runs_folder, prefix=PULL_PREFIX) as scratch:
        unfinished = Path(scratch) / manifest.run_id
        with RunFolder(Path(scratch)).hold_lock():  # an abandoned download is held by no process
            unfinished.mkdir()
            _download_files(store, manifest, unfinished)
        RunFolder.open_existing(unfinished)  # refuses a run of another version
        assign_sequence(runs_folder, unfinished)
        try:
            os.rename(unfinished, target)
        except OSError:
            if not target.exists():
                raise
            return _open_equal_run(target, manifest)  # another process pulled it meanwhile
    return RunFolder.open_existing(target)


def _remove_abandoned(runs_folder: Path) -> None:
    """Remove the downloads of processes that were killed."""
    for folder in runs_folder.glob(f"{PULL_PREFIX}*/"):
        if is_abandoned(folder):
            remove_folder(folder)


def _open_equal_run(target: Path, manifest: PushManifest) -> RunFolder:
    """Return an existing run.

    Raises:
        InputError: its content differs from the manifest.
    """
    if tuple(list_pushed_files(target)) != manifest.files:
        raise InputError(
            f"{target}: a run of this id with other content is here; rename or remove it first"
        )
    return RunFolder.open_existing(target)
