"""Runs in an object store: a working copy here, of which each finished stage is put there, its manifest last.

There, `<run>/<stage>/stage.json` names the folder that holds the stage's files: a stage exists when that one object
does, and what it names is whole. Files that no manifest names (of a put that was cut short) are in nobody's way.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from pipeline import remote
from pipeline.contracts import InputError
from pipeline.graph import ARTIFACTS, STAGES
from pipeline.remote import Moved, Remote
from pipeline.store import POINTER, Run, digest, finished, read_json, write_json

LOCK, KNOWN = "lock.json", ".stored.json"
"""The lock of a run in the store; here, which put of each stage the working copy is of."""
STAGE_NAMES = tuple(s.name for s in STAGES)
_SMALL = ("run.json", "config.yaml", ".pinned")


def _known(run: Run) -> dict[str, str]:
    path = run.path / KNOWN
    return dict(read_json(path)) if path.is_file() else {}


def _manifest(store: Remote, run_id: str, name: str) -> dict[str, Any] | None:
    known = store.read(f"{run_id}/{name}/stage.json")
    return dict(json.loads(known[0])) if known else None


def look(path: Path) -> None:
    """Bring what is small of a run here: that it exists, its config, whether it is pinned."""
    store = remote.of(path.parent)
    for name in _SMALL if store else ():
        known = store.read(f"{path.name}/{name}") if store else None
        if known:
            path.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(known[0])
        elif name == ".pinned":
            (path / name).unlink(missing_ok=True)


def begin(path: Path) -> Run:
    """`Run.begin`, here and in the store: of two machines that begin one run, the second goes on with the first's."""
    look(path)
    remote.freshen(path.parent / POINTER)
    run, store = Run.begin(path), remote.of(path.parent)
    if store:
        try:
            store.swap(f"{run.run_id}/run.json", (path / "run.json").read_bytes(), None)
        except Moved:
            look(path)
    return run


def create(home: Path, name: str) -> Run:
    """`Run.create`, under a name that no other machine took."""
    store = remote.of(home)
    remote.freshen(home / POINTER)
    while True:
        run = Run.create(home, name)
        try:
            if store:
                store.swap(f"{run.run_id}/run.json", (run.path / "run.json").read_bytes(), None)
            return run
        except Moved:
            look(run.path)  # it is another machine's; its name is taken here too


def put(run: Run, name: str) -> None:
    """Put a small file of the run into the store, or remove it there where it is gone here."""
    if store := remote.of(run.path.parent):
        path = run.path / name
        if path.is_file():
            store.write(f"{run.run_id}/{name}", path.read_bytes())
        else:
            store.remove(f"{run.run_id}/{name}")


def discard(run: Run) -> None:
    """Remove a run from the store that is gone here."""
    if not run.path.exists():
        erase(run)


def erase(run: Run) -> None:
    """Remove a run from the store: first that it exists, then all the rest."""
    if store := remote.of(run.path.parent):
        store.remove(f"{run.run_id}/run.json")
        store.remove(*store.names(run.run_id))


@contextmanager
def at_work(run: Run, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the run for this machine; inside, all that any machine finished of it is here, and its champion's model.

    tell: is told what was found damaged. Raises `Busy` where another machine is at work in it.
    """
    store = remote.of(run.path.parent)
    if not store:
        yield
        return
    with store.lock(f"{run.run_id}/{LOCK}"):
        for name, damage in pull(run).items():
            store.remove(f"{run.run_id}/{name}/stage.json")
            _note(run, name, "")
            tell(f"  {name}: {damage}; made anew")
        champion = read_json(run.path / "run.json").get("champion")
        if champion:
            fetch(run.path.parent / str(champion["run_id"]), ("ingest", "promote"))
        yield


@contextmanager
def held(run: Run) -> Iterator[None]:
    """Hold the run for this machine, to remove it. Raises `Busy` where another machine is at work in it."""
    store = remote.of(run.path.parent)
    with store.lock(f"{run.run_id}/{LOCK}") if store else nullcontext():
        yield


def pull(run: Run, stages: Sequence[str] = STAGE_NAMES) -> dict[str, str]:
    """Bring what the store has of a run's stages here, but for what is here already.

    Returns, by stage, what is damaged in the store; such a stage is not taken."""
    store = remote.of(run.path.parent)
    if not store:
        return {}
    there = [name.split("/")[1] for name in store.names(run.run_id) if name.endswith("/stage.json")]
    with remote.alone(run.path / "stages"):
        found = {name: _pull(store, run, name) for name in stages if name in there}
    return {name: damage for name, damage in found.items() if damage}


def _pull(store: Remote, run: Run, name: str) -> str:
    """Bring one stage here; returns what is wrong with it in the store, or ""."""
    manifest = _manifest(store, run.run_id, name)
    if manifest is None or (_known(run).get(name) == manifest["put"] and name in finished(run)):
        return ""
    aside, prefix = run.path / f".tmp-{name}", f"{run.run_id}/{name}/{manifest['put']}"
    shutil.rmtree(aside, ignore_errors=True)
    for file in manifest["files"]:
        try:
            store.fetch(f"{prefix}/{file}", aside / file)
        except FileNotFoundError:
            now = _manifest(store, run.run_id, name)
            if now and now["put"] != manifest["put"]:  # it was made anew meanwhile, and the old files removed
                return _pull(store, run, name)
            return f"{store.at(f'{prefix}/{file}')}: missing"
    for made, wanted in manifest["artifacts"].items():
        path = aside / f"{made}{ARTIFACTS[made].suffix}"
        if not path.exists() or digest(path) != wanted:
            return f"{store.at(f'{prefix}/{path.name}')}: cut short or altered since it was put (hash mismatch)"
    run.adopt(name, {key: value for key, value in manifest.items() if key not in ("put", "files")})
    _note(run, name, manifest["put"])
    return ""


def _note(run: Run, name: str, mark: str) -> None:
    write_json(run.path / KNOWN, {**_known(run), name: mark})


def publish(run: Run, name: str) -> None:
    """Put a finished stage into the store: its files, then the manifest that makes them the stage; then drop the old.

    Hold the run. Raises `InputError` where it was taken over by another machine, and the stage stays here."""
    store, record = remote.of(run.path.parent), run.record(name)
    if not store or record is None:
        return
    old = _manifest(store, run.run_id, name)
    if old and old["put"] == _known(run).get(name) and _same(old, record):
        return
    folder, mark = run.path / name, uuid.uuid4().hex
    files = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file()]
    files.remove("stage.json")
    for file in files:
        store.send(folder / file, f"{run.run_id}/{name}/{mark}/{file}")
    if not store.holds(f"{run.run_id}/{LOCK}"):
        raise InputError(f"{store.at(run.run_id)}: another machine took this run over, as this one was silent too long")
    manifest = {**record, "put": mark, "files": files}
    manifest.pop("stamps", None)
    store.write(f"{run.run_id}/{name}/stage.json", json.dumps(manifest).encode())
    _note(run, name, mark)
    kept = (f"{run.run_id}/{name}/{mark}/", f"{run.run_id}/{name}/stage.json")
    store.remove(*(old for old in store.names(f"{run.run_id}/{name}") if not old.startswith(kept)))


def _same(manifest: dict[str, Any], record: dict[str, Any]) -> bool:
    return all(manifest.get(part) == record.get(part) for part in ("key", "artifacts"))


def refresh(home: Path, tell: Callable[[str], None]) -> None:
    """Bring what a listing shows of every run in the store here; runs that are gone there are hidden here.

    tell: is told what is damaged."""
    store = remote.of(home)
    if not store:
        return
    remote.freshen(home / POINTER)
    there = set(store.folders())
    for run_id in there:
        look(home / run_id)
        if (home / run_id / "run.json").is_file():
            for name, damage in pull(Run(home / run_id), ("promote", "report")).items():
                tell(f"{run_id}: {name}: {damage}")
    for path in home.glob(f"*/{KNOWN}"):
        if path.parent.name not in there:
            (path.parent / "run.json").unlink(missing_ok=True)


def fetch(path: Path, stages: Sequence[str] = STAGE_NAMES) -> None:
    """Bring a run's stages here, where its folder is of a working copy. Raises `InputError` for a damaged object."""
    if not remote.of(path.parent):
        return
    look(path)
    if (path / "run.json").is_file():
        for damage in pull(Run(path), stages).values():
            raise InputError(f"{damage}; make it anew with: nightshift run --resume {path}")
