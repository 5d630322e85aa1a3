"""A folder of runs in an object store: its working copy here, and the few things that such a store does at once.

One object is put whole or not at all, and S3 puts it, where asked, only if the object that stands there is the one that
was read (If-Match) or none (If-None-Match). All else is built from that: see `pipeline.mirror`.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from pipeline.contracts import Busy, InputError

SCHEMES = ("s3",)
"""Stores that put on a condition; without it neither pointer nor lock could be kept."""
LEASE = 120.0
"""Seconds for which a lock holds unless it is renewed. Clocks that differ by as much break locks of the living."""
HOLDER = f"process {os.getpid()} on {platform.node()}, {uuid.uuid4().hex[:8]}"
_SHARED: set[Path] = set()
"""The files that this process is changing."""


class Moved(Exception):
    """The object is not any more what was read; what stands there is somebody else's."""


def cache_folder() -> Path:
    """Where fetched and unpacked files are kept: `NIGHTSHIFT_CACHE`, else `nightshift` in the user's cache folder."""
    own = os.environ.get("NIGHTSHIFT_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nightshift"


def working_copy(place: Any) -> Any:
    """The folder here for an address such as `s3://bucket/runs`; any other value as it is. Raises `InputError`."""
    if not isinstance(place, str) or "://" not in place:
        return place
    scheme, _, rest = place.partition("://")
    if scheme not in SCHEMES or not rest.strip("/"):
        raise InputError(
            f"{place}: runs are kept in a folder or under s3://BUCKET/FOLDER; other stores cannot put on a condition, "
            "which the champion's pointer needs: mount them as a folder"
        )
    return cache_folder().absolute() / "stores" / quote(place.rstrip("/"), safe="").replace("%", "=")


def address(home: Path) -> str:
    """The address of which this folder is the working copy; its own path where it is none."""
    name = unquote(home.name.replace("=", "%"))
    return name if home.parent.name == "stores" and name.partition("://")[0] in SCHEMES else str(home)


@cache
def of(home: Path) -> Remote | None:
    """The store of which this folder is the working copy, or None."""
    where = address(home)
    return None if where == str(home) else Remote(where)


@contextmanager
def _answering(where: str) -> Iterator[None]:
    """What a store does not do is one line: `InputError`, or `ConnectionError` where trying again may help."""
    try:
        yield
    except PermissionError as error:
        raise InputError(f"{where}: not allowed ({error}); see the credentials in AWS's variables or files") from error
    except Exception as error:
        if isinstance(error, (InputError, Moved, FileNotFoundError, FileExistsError)):
            raise
        raise ConnectionError(f"{where}: the store does not answer ({error})") from error


class Remote:
    """The objects below one address, named relative to it."""

    def __init__(self, where: str) -> None:
        """where: such as s3://bucket/runs."""
        self.where = where

    @cached_property
    def files(self) -> Any:
        """fsspec's file system. Raises `InputError` where its package is absent."""
        try:
            import fsspec

            return fsspec.filesystem(self.where.partition("://")[0], use_listings_cache=False)
        except ImportError as error:
            raise InputError(f"{self.where}: needs an extra: pip install 'nightshift[s3]'") from error

    def at(self, name: str) -> str:
        """The whole address of an object."""
        return f"{self.where}/{name}"

    def read(self, name: str) -> tuple[bytes, str] | None:
        """An object's bytes and its tag, or None. The tag is asked for first: it is never newer than the bytes."""
        with _answering(self.at(name)):
            try:
                tag = str(self.files.info(self.at(name), refresh=True)["ETag"])
                return bytes(self.files.cat_file(self.at(name))), tag
            except FileNotFoundError:
                return None

    def write(self, name: str, value: bytes) -> None:
        """Put an object, whatever stands there. Raises `InputError` where the bucket is not there."""
        with _answering(self.at(name)):
            try:
                self.files.pipe_file(self.at(name), value)
            except FileNotFoundError as error:
                raise InputError(f"{self.where}: {error}; make it first") from error

    def swap(self, name: str, value: bytes, tag: str | None) -> None:
        """Put an object if `tag` is still its tag, or None if there still is none. Raises `Moved` where not.

        Where an answer was lost and the put was tried again, it is found to stand already."""
        condition = {"IfMatch": tag} if tag else {"mode": "create"}
        with _answering(self.at(name)):
            try:
                self.files.pipe_file(self.at(name), value, **condition)
                return
            except (FileExistsError, FileNotFoundError) as error:
                refused: Exception = error
            except OSError as error:
                if "pre-condition" not in str(error).lower():
                    raise
                refused = error
        known = self.read(name)
        if known and known[0] == value:
            return
        if known is None and tag is None:
            raise InputError(f"{self.where}: {refused}; make it first") from refused
        raise Moved(self.at(name)) from refused

    def names(self, folder: str = "") -> list[str]:
        """All objects below a folder, relative to the address; none where there is no such folder."""
        with _answering(self.at(folder)):
            whole = self.files.find(self.at(folder)) if self.files.exists(self.at(folder)) else []
        start = len(self.where.partition("://")[2]) + 1
        return [str(name)[start:] for name in whole]

    def folders(self) -> list[str]:
        """The folders right below the address."""
        with _answering(self.where):
            try:
                found = self.files.ls(self.where, detail=True, refresh=True)
            except FileNotFoundError:
                return []
        return [Path(item["name"]).name for item in found if item["type"] == "directory"]

    def send(self, path: Path, name: str) -> None:
        """Put a file."""
        with _answering(self.at(name)):
            self.files.put_file(str(path), self.at(name))

    def fetch(self, name: str, path: Path) -> None:
        """Get a file. Raises `FileNotFoundError`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with _answering(self.at(name)):
            self.files.get_file(self.at(name), str(path))

    def remove(self, *names: str) -> None:
        """Remove objects; those that are gone already are no matter."""
        with _answering(self.where):
            for name in names:
                try:
                    self.files.rm_file(self.at(name))
                except FileNotFoundError:
                    continue

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the object `name` for this process, renewed while it lives. Raises `Busy` where another holds it.

        A process that died holds it no longer than `LEASE`."""
        known = self.read(name)
        held = json.loads(known[0]) if known else {"until": 0.0}
        if held["until"] > time.time() and held["holder"] != HOLDER:
            left = f"(a dead one holds it for {held['until'] - time.time():.0f} s more)"
            raise Busy(f"{self.at(name)}: {held['holder']} is at work in this run; wait for it {left}")
        try:
            self.swap(name, _lease(), known[1] if known else None)
        except Moved as error:
            raise Busy(f"{self.at(name)}: another process began at the same moment; wait for it") from error
        ended = threading.Event()
        renewal = threading.Thread(target=self._renew, args=(name, ended), daemon=True)
        renewal.start()
        try:
            yield
        finally:
            ended.set()
            renewal.join()
            if self.holds(name):
                self.remove(name)

    def _renew(self, name: str, ended: threading.Event) -> None:
        while not ended.wait(LEASE / 4):
            try:
                known = self.read(name)
                if known is None or json.loads(known[0])["holder"] != HOLDER:
                    return  # taken over: `holds` says so before anything is put
                self.swap(name, _lease(), known[1])
            except (ConnectionError, Moved):
                continue

    def holds(self, name: str) -> bool:
        """Whether this process still holds the object `name`."""
        known = self.read(name)
        return known is not None and json.loads(known[0])["holder"] == HOLDER


def _lease() -> bytes:
    return json.dumps({"holder": HOLDER, "until": time.time() + LEASE}).encode()


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process of this machine at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _freshen(store: Remote, path: Path) -> str | None:
    known = store.read(path.name)
    if known:
        aside = path.with_name(f".{path.name}.new")
        aside.write_bytes(known[0])
        aside.replace(path)
    else:
        path.unlink(missing_ok=True)
    return known[1] if known else None


def freshen(path: Path) -> None:
    """Bring a file of a working copy, such as the champion's pointer, up to what stands in the store.

    Inside `shared` it is that already, or is changed: nothing is done."""
    store = of(path.parent)
    if store and path not in _SHARED:
        with alone(path):
            _freshen(store, path)


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Inside, a file that all machines share is as the store has it, and what was changed is put there at the end.

    Raises `InputError` where another machine changed it meanwhile: then its change stands, and this one is undone.
    Where the file is of no working copy, this does nothing.
    """
    store = of(path.parent)
    if not store:
        yield
        return
    with alone(path):
        tag = _freshen(store, path)
        before = path.read_bytes() if path.is_file() else b""
        _SHARED.add(path)
        try:
            yield
        finally:
            _SHARED.discard(path)
        after = path.read_bytes() if path.is_file() else b""
        if after == before:
            return
        try:
            store.swap(path.name, after, tag)
        except Moved as error:
            _freshen(store, path)
            raise InputError(f"{store.at(path.name)}: another machine changed it at this moment; call again") from error
