"""The champion: whose model is in force, how it came to be, and the way back.

`runs/champion.json` names the run, its bundle (relative to the parent of the runs' folder) and what it is (`candidate`
or `baseline`); `earlier` is what a rollback goes back to, oldest first, and `log` is every move. The file is replaced
whole under a lock on the runs' folder, so that pointer and history are never apart.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline import mirror, remote
from pipeline.contracts import InputError
from pipeline.store import POINTER, Run, digest, finished, key_of, read_json, write_json

WEIGHTS = "model.safetensors"
_NAMED = ("run_id", "bundle", "champion")


def pointer(home: Path) -> dict[str, Any] | None:
    """The pointer in force in this folder of runs, or None. Raises `InputError` where it cannot be read."""
    path = home / POINTER
    remote.freshen(path)
    return dict(read_json(path)) if path.is_file() else None


def taken(run: Path) -> dict[str, Any] | None:
    """The champion that was in force when the run in this folder began, whatever was promoted since, or None."""
    path = run / "run.json"
    record = read_json(path) if path.is_file() else {}
    return record["champion"] if "champion" in record else pointer(run.parent)


def bundle(home: Path, known: Mapping[str, Any] | None) -> Path | None:
    """The folder of a pointer's model, None for no pointer. Raises `InputError` where the folder is gone."""
    if known is None:
        return None
    folder = home.parent / str(known.get("bundle"))
    mirror.fetch(home / str(known.get("run_id")), ("promote",))
    if not (folder / WEIGHTS).is_file():
        raise InputError(
            f"{home / POINTER}: the champion's folder {folder} is gone; put another in force: nightshift runs "
            "promote RUN (or rollback), or set train.model=new"
        )
    return folder


def in_force(home: Path) -> Path | None:
    """The folder of the model in force, or None where no run has promoted one. Raises `InputError` where it is gone."""
    return bundle(home, pointer(home))


def mark(folder: Path | None) -> str:
    """What identifies a champion as part of a stage's key; empty for none."""
    return key_of(digest(folder)) if folder else ""


@contextmanager
def moving(home: Path) -> Iterator[dict[str, Any] | None]:
    """The pointer in force, which nobody else moves meanwhile; what was moved is on the disk afterwards.

    In an object store others are not kept from moving it: then this move is undone and raises `InputError`."""
    folder = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with remote.shared(home / POINTER):
            yield pointer(home)
        os.fsync(folder)
    finally:
        os.close(folder)


def _write(home: Path, known: Mapping[str, Any] | None, now: Mapping[str, Any], earlier: list[Any], how: str) -> None:
    move = {"at": time.strftime("%Y-%m-%d %H:%M:%S"), "how": how, "run_id": now["run_id"]}
    named = {key: now[key] for key in _NAMED}
    log = [*(known or {}).get("log", []), move]
    write_json(home / POINTER, {**named, "earlier": earlier, "log": log})


def point(home: Path, known: Mapping[str, Any] | None, run_id: str, kind: str, how: str) -> None:
    """Put a run's model in force. known: as `moving` gave it; kind: candidate | baseline. Safe to repeat."""
    now = {"run_id": run_id, "bundle": f"{home.resolve().name}/{run_id}/promote/bundle", "champion": kind}
    if known and all(known.get(key) == now[key] for key in _NAMED):
        return
    earlier = list((known or {}).get("earlier", []))
    if known and known.get("run_id") != run_id:
        earlier.append({key: known.get(key) for key in _NAMED})
    _write(home, known, now, earlier, how)


def promote(home: Path, run: Run) -> None:
    """Put this run's model in force, by hand. Raises `InputError` where it made none, or one that is damaged."""
    if "promote" not in finished(run) or not run.intact("promote"):
        raise InputError(f"{run.path}: it has no whole model to put in force; nightshift run --resume {run.run_id}")
    kind = "candidate" if run.load("verdict")["promoted"] else "baseline"
    with moving(home) as known:
        point(home, known, run.run_id, kind, "promoted by hand")


def rollback(home: Path) -> tuple[str, str]:
    """Put the champion before this one in force again; returns the run ids left and gone back to.

    Raises `InputError` where there is none before, or its folder is gone: then the pointer stays as it is.
    """
    with moving(home) as known:
        earlier = list((known or {}).get("earlier", []))
        if not known or not earlier:
            raise InputError(f"{home / POINTER}: there is no earlier champion to go back to; see: nightshift runs list")
        now = earlier.pop()
        bundle(home, now)
        _write(home, known, now, earlier, f"rolled back from {known['run_id']}")
    return str(known["run_id"]), str(now["run_id"])
