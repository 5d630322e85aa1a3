"""The champion of each config: the model in force, its history, and the way back.

`runs/champions/NAME.json` belongs to the config of that `name`. It holds the run, its bundle
(relative to the parent of the folder of all runs) and its kind (`candidate` or `baseline`).
`earlier` lists what a rollback restores, oldest first, and `log` every move. The file is replaced
as a whole under a lock, so that pointer and history always agree.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from pipeline import config
from pipeline.contracts import InputError
from pipeline.storage.artifact_store import (
    RunFolder,
    compute_key,
    hash_content,
    list_finished_stages,
)
from pipeline.storage.atomic_files import lock_file, read_json_object, sync_folder, write_json
from pipeline.storage.bundle_record import read_bundle_record
from pipeline.storage.run_record import PLAIN_NAME as PLAIN_NAME
from pipeline.storage.run_record import RECORD_FILE, check_run_id, format_now, read_run_record

WEIGHTS_FILE = "model.safetensors"
FOLDER = "champions"
OLD_POINTER = "champion.json"
"""The single champion of all configs that version 0.1 kept."""
DEFAULT_NAME = "run"
"""Name of a config that sets none, and of a run that records none."""
POINTER_REMEDY = (
    "restore it from a backup, or remove it and put a run in force: nightshift runs promote RUN"
)
_POINTER_KEYS = ("run_id", "bundle", "champion")


def read_config_name(run: Path) -> str | None:
    """Return the `name` of the config under which a run was begun, or None if it is unknown."""
    if not (run / RECORD_FILE).is_file():
        return None
    record = read_run_record(run)
    if "name" not in record.model_fields_set and (run / "config.yaml").is_file():
        name = config.read_config(run / "config.yaml").get("name")  # begun by version 0.1
        return str(name) if name else None
    return record.name or None


def get_pointer_path(runs_folder: Path, name: str) -> Path:
    """Return the path of a config's champion pointer.

    Raises:
        InputError: the name is not a plain file name, or the folder still has the single champion
            of version 0.1.
    """
    if not PLAIN_NAME.fullmatch(name):
        raise InputError(
            f"{name!r}: a config's name consists of letters, digits, '_', '-' and '.', "
            "and does not begin with '.'"
        )
    _refuse_old_pointer(runs_folder)
    return runs_folder / FOLDER / f"{name}.json"


def _refuse_old_pointer(runs_folder: Path) -> None:
    old = runs_folder / OLD_POINTER
    if old.is_file():
        owner = _read_old_owner(runs_folder, old)
        raise InputError(
            f"{old}: version 0.1 kept one champion for all configs, now each config has one; "
            "move it: "
            f"mkdir -p {runs_folder / FOLDER} && mv {old} {runs_folder / FOLDER / owner}.json"
        )


def _read_old_owner(runs_folder: Path, old_pointer: Path) -> str:
    """Return the config's name of the run that a pointer of version 0.1 names, else `NAME`."""
    with suppress(InputError):
        run_path = runs_folder / str(read_json_object(old_pointer).get("run_id"))
        record = read_json_object(run_path / RECORD_FILE)
        tree = record if record.get("name") else config.read_config(run_path / "config.yaml")
        return str(tree.get("name") or "NAME")
    return "NAME"


def list_champion_names(runs_folder: Path) -> list[str]:
    """Return the names of the configs that have a champion in this folder of runs, sorted."""
    _refuse_old_pointer(runs_folder)
    return sorted(
        path.stem
        for path in (runs_folder / FOLDER).glob("*.json")
        if PLAIN_NAME.fullmatch(path.stem)
    )


def select_name(runs_folder: Path, name: str | None = None) -> str:
    """Return `name`, or the only config that has a champion if it is None.

    Raises:
        InputError: that config has no champion, or `name` is None and several configs have one.
    """
    names = list_champion_names(runs_folder)
    if name is not None and name in names:
        return name
    if name is not None or not names:
        owner = f"of {name!r} " if name else ""
        hint = "name a run or a bundle's folder"
        if names:
            hint = f"configs with a champion: {', '.join(names)}"
        raise InputError(f"{runs_folder}: no run {owner}has promoted a champion yet; {hint}")
    if len(names) > 1:
        raise InputError(
            f"{runs_folder}: several configs have a champion ({', '.join(names)}); "
            "write champion:NAME"
        )
    return names[0]


def read_pointer(runs_folder: Path, name: str) -> dict[str, Any] | None:
    """Return the pointer to the champion of a config, or None if it has none.

    Raises:
        InputError: the pointer cannot be read, or its run was begun under another name.
    """
    path = get_pointer_path(runs_folder, name)
    if not path.is_file():
        return None
    pointer = parse_pointer(read_json_object(path, POINTER_REMEDY), str(path))
    _check_owner(runs_folder, pointer, name)
    return pointer


def parse_pointer(pointer: dict[str, Any], origin: str) -> dict[str, Any]:
    """Return a pointer unchanged after a check of its run, bundle and history.

    Args:
        pointer: the JSON object.
        origin: its file, for the message.

    Raises:
        InputError: a field has another type, or the bundle is not below the folder of runs.
    """
    earlier, log = pointer.get("earlier", []), pointer.get("log", [])
    for model in [pointer, *(earlier if isinstance(earlier, list) else [None])]:
        if not isinstance(model, dict) or not _is_model_entry(model):
            raise InputError(f"{origin}: names no run and bundle; {POINTER_REMEDY}")
    if not isinstance(log, list):
        raise InputError(f"{origin}: log: must be a list; {POINTER_REMEDY}")
    return pointer


def _is_model_entry(model: dict[str, Any]) -> bool:
    """Return whether an entry names a run, and a bundle that is a relative path in plain form."""
    run_id, bundle = model.get("run_id"), model.get("bundle", "")
    if not isinstance(run_id, str) or not isinstance(bundle, str):
        return False
    is_below = posixpath.normpath(bundle or ".") == (bundle or ".") and not bundle.startswith(
        ("/", "..")
    )
    return bool(PLAIN_NAME.fullmatch(run_id)) and is_below


def _check_owner(runs_folder: Path, pointer: Mapping[str, Any], name: str) -> None:
    """Raise `InputError` if the run of a champion is of another config than `name`."""
    run_id = str(pointer.get("run_id"))
    owner = read_config_name(runs_folder / run_id)
    if owner is not None and owner != name:
        raise InputError(
            f"{runs_folder / FOLDER / name}.json: the champion's run {run_id} is of the config "
            f"{owner!r}, not of {name!r}; begin a new run of {name!r}, or put another run in "
            "force: nightshift runs promote RUN"
        )


def create_run(runs_folder: Path, name: str) -> RunFolder:
    """Return a new run folder of the config `name`; it records the champion in force now."""
    with _hold_pointer(runs_folder, name) as pointer:
        return RunFolder.create_run(runs_folder, name, {"name": name, "champion": pointer})


def begin_run(path: Path, name: str) -> RunFolder:
    """Return the run folder at `path`, made as a run of the config `name` if it is new."""
    check_run_id(path.name, str(path))
    if (path / RECORD_FILE).is_file():
        return RunFolder.open_existing(path)
    with _hold_pointer(path.parent, name) as pointer:
        return RunFolder.open_or_create(path, {"name": name, "champion": pointer})


@contextmanager
def _hold_pointer(runs_folder: Path, name: str) -> Iterator[dict[str, Any] | None]:
    """Yield a config's pointer, which no other process moves or prunes meanwhile, if there is one.

    A run that begins under it needs its champion, and records that before the lock is released.
    """
    path = get_pointer_path(runs_folder, name)
    with lock_file(path) if path.is_file() else nullcontext():
        yield read_pointer(runs_folder, name)


def read_recorded_champion(run: Path) -> dict[str, Any] | None:
    """Return the champion that was in force when a run began, whatever was promoted since."""
    if not (run / RECORD_FILE).is_file():
        return read_pointer(run.parent, DEFAULT_NAME)
    record = read_run_record(run)
    if "champion" in record.model_fields_set:
        return dict(record.champion) if record.champion else None
    return read_pointer(run.parent, read_config_name(run) or DEFAULT_NAME)


def read_starting_champion(run_path: Path) -> dict[str, Any] | None:
    """Return the champion that was in force when the run in this folder began, or None.

    Raises:
        InputError: the champion's run is of another config, which version 0.1 allowed.
    """
    pointer, name = read_recorded_champion(run_path), read_config_name(run_path)
    if pointer and name:
        _check_owner(run_path.parent, pointer, name)
    return pointer


def find_bundle(runs_folder: Path, champion_pointer: Mapping[str, Any] | None) -> Path | None:
    """Return the folder of a pointer's model, or None for no pointer.

    Raises:
        InputError: the folder is gone, or it was written by another version.
    """
    if champion_pointer is None:
        return None
    folder = runs_folder.parent / str(champion_pointer.get("bundle"))
    if not (folder / WEIGHTS_FILE).is_file():
        raise InputError(
            f"{runs_folder / FOLDER}: the champion's folder {folder} is gone; "
            "put another in force: nightshift runs promote RUN (or rollback), "
            "or set train.model=new"
        )
    read_bundle_record(folder)
    return folder


def find_champion_bundle(runs_folder: Path, name: str | None = None) -> Path:
    """Return the folder of the model in force for a config.

    Args:
        runs_folder: folder of all runs.
        name: the config's name; None for the only config with a champion.

    Raises:
        InputError: there is no champion, several configs have one, or its folder is gone.
    """
    folder = find_bundle(runs_folder, read_pointer(runs_folder, select_name(runs_folder, name)))
    assert folder is not None  # `select_name` found the pointer
    return folder


def fingerprint_bundle(folder: Path | None) -> str:
    """Return the hash that identifies a champion in a stage's key; empty for None."""
    return compute_key(hash_content(folder)) if folder else ""


@contextmanager
def lock_pointer(runs_folder: Path, name: str) -> Iterator[dict[str, Any] | None]:
    """Yield the pointer of a config under a lock; a move is on disk afterwards."""
    path = get_pointer_path(runs_folder, name)
    with lock_file(path):
        yield read_pointer(runs_folder, name)
        sync_folder(path.parent)


def compose_move(
    previous_pointer: Mapping[str, Any] | None,
    model: Mapping[str, Any],
    reason: str,
    earlier: list[Any] | None = None,
) -> dict[str, Any] | None:
    """Return the pointer after a move, or None if it names that model already.

    Args:
        previous_pointer: the pointer before, or None.
        model: the model to put in force: run_id, bundle, champion (candidate | baseline).
        reason: reason of the move, for the log.
        earlier: models that a rollback restores; None keeps the list and appends the model before.
    """
    if (
        previous_pointer
        and earlier is None
        and all(previous_pointer.get(key) == model[key] for key in _POINTER_KEYS)
    ):
        return None
    if earlier is None:
        earlier = list((previous_pointer or {}).get("earlier", []))
        if previous_pointer and previous_pointer.get("run_id") != model["run_id"]:
            earlier.append({key: previous_pointer.get(key) for key in _POINTER_KEYS})
    move = {"at": format_now(), "how": reason, "run_id": model["run_id"]}
    log = [*(previous_pointer or {}).get("log", []), move]
    return {**{key: model[key] for key in _POINTER_KEYS}, "earlier": earlier, "log": log}


def set_champion(
    runs_folder: Path,
    name: str,
    previous_pointer: Mapping[str, Any] | None,
    run: tuple[str, str],
    description: str,
) -> None:
    """Put a run's model in force. A repeated call changes nothing.

    Args:
        runs_folder: folder of all runs.
        name: the config's name.
        previous_pointer: the pointer that `lock_pointer` yielded.
        run: the run's id, and the kind of its model: candidate | baseline.
        description: reason of the move, for the log.
    """
    if moved := compose_move(
        previous_pointer, build_pointer(runs_folder.resolve().name, *run), description
    ):
        write_json(get_pointer_path(runs_folder, name), moved)


def build_pointer(runs_folder_name: str, run_id: str, kind: str) -> dict[str, str]:
    """Return the pointer's fields for a run's model.

    Args:
        runs_folder_name: name of the folder of all runs.
        run_id: the run.
        kind: candidate | baseline.
    """
    return {
        "run_id": run_id,
        "bundle": f"{runs_folder_name}/{run_id}/promote/bundle",
        "champion": kind,
    }


def get_model_kind(run: RunFolder) -> str:
    """Return the kind of model that a run puts in force: candidate | baseline.

    Raises:
        InputError: the run made no model, or its model is damaged.
    """
    if "promote" not in list_finished_stages(run) or not run.is_intact("promote"):
        raise InputError(
            f"{run.path}: it has no intact model to put in force; "
            f"nightshift run --resume {run.run_id}"
        )
    return "candidate" if run.load_artifact("verdict")["promoted"] else "baseline"


def promote_run(runs_folder: Path, run: RunFolder) -> str:
    """Put this run's model in force for its config by hand, and return the config's name.

    Raises:
        InputError: the run made no model, or its model is damaged.
    """
    name = read_config_name(run.path) or DEFAULT_NAME
    with lock_pointer(runs_folder, name) as pointer:
        kind = get_model_kind(run)  # under the lock: a prune may have removed the run
        set_champion(runs_folder, name, pointer, (run.run_id, kind), "promoted by hand")
    return name


def restore_earlier_champion(runs_folder: Path, name: str) -> tuple[str, str]:
    """Put the champion before this one in force again, and return both run ids: replaced, restored.

    Raises:
        InputError: there is none before, its folder is gone, or it is of another config. The
            pointer stays.
    """
    with lock_pointer(runs_folder, name) as pointer:
        earlier = list((pointer or {}).get("earlier", []))
        if not pointer or not earlier:
            path = get_pointer_path(runs_folder, name)
            raise InputError(
                f"{path}: there is no earlier champion to restore; see: nightshift runs list"
            )
        restored = earlier.pop()
        _check_owner(runs_folder, restored, name)
        find_bundle(runs_folder, restored)
        moved = compose_move(pointer, restored, f"rolled back from {pointer['run_id']}", earlier)
        write_json(get_pointer_path(runs_folder, name), moved)
    return str(pointer["run_id"]), str(restored["run_id"])
