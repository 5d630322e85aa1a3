"""The champion of each config: whose model is in force, how it came to be, and the way back.

`runs/champions/NAME.json` belongs to the config of that `name`. It names the run, its bundle
(relative to the parent of the runs' folder) and what it is (`candidate` or `baseline`); `earlier`
is what a rollback goes back to, oldest first, and `log` is every move. The file is replaced whole
under a lock, so that pointer and history are never apart.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline import config
from pipeline.contracts import InputError
from pipeline.storage.artifact_store import (
    RunFolder,
    compute_key,
    hash_content,
    list_finished_stages,
    lock_file,
    read_json,
    write_json,
)

WEIGHTS_FILE = "model.safetensors"
FOLDER = "champions"
OLD_POINTER = "champion.json"
"""The one champion of all configs, as version 0.1 kept it."""
DEFAULT_NAME = "run"
"""The name of a config that sets none, and of a run that records none."""
PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
"""A name that is safe as a file name: it leads to no other folder and is not hidden."""
_POINTER_KEYS = ("run_id", "bundle", "champion")


def config_name(run: Path) -> str | None:
    """Return the `name` of the config under which a run was begun, or None where it is unknown."""
    record = read_json(run / "run.json") if (run / "run.json").is_file() else {}
    if "name" not in record and (run / "config.yaml").is_file():  # begun by version 0.1
        record = config.read_config(run / "config.yaml")
    return str(record["name"]) if record.get("name") else None


def pointer_path(home: Path, name: str) -> Path:
    """Return the path of a config's champion pointer.

    Raises:
        InputError: The name is no plain file name, or the folder still has the single champion of
            version 0.1.
    """
    if not PLAIN_NAME.fullmatch(name):
        raise InputError(
            f"{name!r}: a config's name has letters, digits, '_', '-' and '.', "
            "and does not begin with '.'"
        )
    _refuse_old_pointer(home)
    return home / FOLDER / f"{name}.json"


def _refuse_old_pointer(home: Path) -> None:
    old = home / OLD_POINTER
    if old.is_file():
        owner = config_name(home / str(read_json(old).get("run_id"))) or "NAME"
        raise InputError(
            f"{old}: version 0.1 kept one champion for all configs, now each has its own; move it: "
            f"mkdir -p {home / FOLDER} && mv {old} {home / FOLDER / owner}.json"
        )


def champion_names(home: Path) -> list[str]:
    """Return the names of the configs that have a champion in this folder of runs, sorted."""
    _refuse_old_pointer(home)
    return sorted(
        path.stem for path in (home / FOLDER).glob("*.json") if PLAIN_NAME.fullmatch(path.stem)
    )


def select_name(home: Path, name: str | None = None) -> str:
    """Return the config name that is meant: `name`, or else the only one that has a champion.

    Raises:
        InputError: No config has a champion, or no name is given and several have one.
    """
    names = champion_names(home)
    if name is not None and name in names:
        return name
    if name is not None or not names:
        named = f"of {name!r} " if name else ""
        known = (
            f"there is one of: {', '.join(names)}" if names else "name a run or a bundle's folder"
        )
        raise InputError(f"{home}: no run {named}has promoted a champion yet; {known}")
    if len(names) > 1:
        raise InputError(
            f"{home}: several configs have a champion ({', '.join(names)}); say champion:NAME"
        )
    return names[0]


def read_pointer(runs_folder: Path, name: str) -> dict[str, Any] | None:
    """The pointer to the champion of a config in this folder of runs, or None where it has none.

    Raises:
        InputError: The pointer cannot be read, or its run was begun under another name.
    """
    path = pointer_path(runs_folder, name)
    if not path.is_file():
        return None
    known = dict(read_json(path))
    _check_owner(runs_folder, known, name)
    return known


def _check_owner(home: Path, known: Mapping[str, Any], name: str) -> None:
    """Raise `InputError` where a champion's run is known to be of another config than `name`."""
    run_id = str(known.get("run_id"))
    owner = config_name(home / run_id)
    if owner is not None and owner != name:
        raise InputError(
            f"{home / FOLDER / name}.json: the champion's run {run_id} is of the config {owner!r}, "
            f"not of {name!r}; begin a new run of {name!r}, or put one in force: "
            "nightshift runs promote RUN"
        )


def create_run(home: Path, name: str) -> RunFolder:
    """Make a new run folder of the config `name`, which keeps the champion that is in force now."""
    return RunFolder.create_run(home, name, {"name": name, "champion": read_pointer(home, name)})


def begin_run(path: Path, name: str) -> RunFolder:
    """Make `path` a run of the config `name`, or open the one that stands there."""
    facts = (
        {}
        if (path / "run.json").is_file()
        else {"name": name, "champion": read_pointer(path.parent, name)}
    )
    return RunFolder.open_or_create(path, facts)


def recorded_champion(run: Path) -> dict[str, Any] | None:
    """Return the champion that was in force when a run began, whatever was promoted since."""
    record = read_json(run / "run.json") if (run / "run.json").is_file() else {}
    if "champion" in record:
        return dict(record["champion"]) if record["champion"] else None
    return read_pointer(run.parent, config_name(run) or DEFAULT_NAME)


def read_starting_champion(run_path: Path) -> dict[str, Any] | None:
    """The champion that was in force when the run in this folder began, or None.

    Raises:
        InputError: The champion's run is of another config, as version 0.1 let happen.
    """
    known, name = recorded_champion(run_path), config_name(run_path)
    if known and name:
        _check_owner(run_path.parent, known, name)
    return known


def find_bundle(runs_folder: Path, champion_pointer: Mapping[str, Any] | None) -> Path | None:
    """The folder of a pointer's model, or None. Raises `InputError` where it is gone."""
    if champion_pointer is None:
        return None
    folder = runs_folder.parent / str(champion_pointer.get("bundle"))
    if not (folder / WEIGHTS_FILE).is_file():
        raise InputError(
            f"{runs_folder / FOLDER}: the champion's folder {folder} is gone; put another in force: "
            "nightshift runs promote RUN (or rollback), or set train.model=new"
        )
    return folder


def find_champion_bundle(runs_folder: Path, name: str | None = None) -> Path:
    """The folder of the model in force for a config; None means the only config that has one.

    Raises:
        InputError: There is none, there are several to choose from, or its folder is gone.
    """
    folder = find_bundle(runs_folder, read_pointer(runs_folder, select_name(runs_folder, name)))
    assert folder is not None  # `select_name` saw the pointer
    return folder


def fingerprint_bundle(folder: Path | None) -> str:
    """What identifies a champion as part of a stage's key; empty for none."""
    return compute_key(hash_content(folder)) if folder else ""


@contextmanager
def lock_pointer(runs_folder: Path, name: str) -> Iterator[dict[str, Any] | None]:
    """The pointer of a config, which nobody else moves meanwhile; a move is on disk afterwards."""
    path = pointer_path(runs_folder, name)
    with lock_file(path):
        yield read_pointer(runs_folder, name)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def compose_move(
    known: Mapping[str, Any] | None,
    now: Mapping[str, Any],
    how: str,
    earlier: list[Any] | None = None,
) -> dict[str, Any] | None:
    """Return the pointer after a move, or None where it names that model already.

    Args:
        known: The pointer before, None for none.
        now: The model to put in force: run_id, bundle, champion (candidate | baseline).
        how: Why it is moved, for the log.
        earlier: What a rollback goes back to; None: what it was, and the model that is left.
    """
    if known and earlier is None and all(known.get(key) == now[key] for key in _POINTER_KEYS):
        return None
    if earlier is None:
        earlier = list((known or {}).get("earlier", []))
        if known and known.get("run_id") != now["run_id"]:
            earlier.append({key: known.get(key) for key in _POINTER_KEYS})
    move = {"at": time.strftime("%Y-%m-%d %H:%M:%S"), "how": how, "run_id": now["run_id"]}
    log = [*(known or {}).get("log", []), move]
    return {**{key: now[key] for key in _POINTER_KEYS}, "earlier": earlier, "log": log}


def set_champion(
    runs_folder: Path,
    name: str,
    previous_pointer: Mapping[str, Any] | None,
    run: tuple[str, str],
    description: str,
) -> None:
    """Put a run's model in force. Safe to repeat.

    Args:
        home: The folder of all runs.
        name: The config's name.
        known: The pointer as `moving` gave it.
        run: Its id, and what its model is: candidate | baseline.
        how: Why it is put in force.
    """
    if moved := compose_move(
        previous_pointer, model_of(runs_folder.resolve().name, *run), description
    ):
        write_json(pointer_path(runs_folder, name), moved)


def model_of(home: str, run_id: str, kind: str) -> dict[str, str]:
    """Return what a pointer says of a run's model; home: the name of the folder of all runs."""
    return {"run_id": run_id, "bundle": f"{home}/{run_id}/promote/bundle", "champion": kind}


def kind_of(run: RunFolder) -> str:
    """Return what the model is that a run puts in force: candidate | baseline.

    Raises:
        InputError: The run made no model, or one that is damaged.
    """
    if "promote" not in list_finished_stages(run) or not run.is_intact("promote"):
        raise InputError(
            f"{run.path}: it has no whole model to put in force; "
            f"nightshift run --resume {run.run_id}"
        )
    return "candidate" if run.load_artifact("verdict")["promoted"] else "baseline"


def promote_run(runs_folder: Path, run: RunFolder) -> str:
    """Put this run's model in force for its config, by hand, and return the config's name.

    Raises:
        InputError: The run made no model, or one that is damaged.
    """
    kind, name = kind_of(run), config_name(run.path) or DEFAULT_NAME
    with lock_pointer(runs_folder, name) as known:
        set_champion(runs_folder, name, known, (run.run_id, kind), "promoted by hand")
    return name


def restore_earlier_champion(runs_folder: Path, name: str) -> tuple[str, str]:
    """Put a config's champion before this one in force again; returns the run ids left and back to.

    Raises:
        InputError: There is none before, or it is gone or of another config; the pointer stays.
    """
    with lock_pointer(runs_folder, name) as known:
        earlier = list((known or {}).get("earlier", []))
        if not known or not earlier:
            path = pointer_path(runs_folder, name)
            raise InputError(
                f"{path}: there is no earlier champion to go back to; see: nightshift runs list"
            )
        now = earlier.pop()
        _check_owner(runs_folder, now, name)
        find_bundle(runs_folder, now)
        moved = compose_move(known, now, f"rolled back from {known['run_id']}", earlier)
        write_json(pointer_path(runs_folder, name), moved)
    return str(known["run_id"]), str(now["run_id"])
