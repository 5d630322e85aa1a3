"""Artifact name <-> file. The only module that touches artifact files.

A stage's folder is written aside and renamed into place with `stage.json`: the key (hash of what went in),
the content hash of every artifact, settings, code version, notes and seconds. Nothing is unpickled.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import __version__
from pipeline.contracts import (
    ArrayContract,
    FolderContract,
    InputError,
    ObjectContract,
    RecordContract,
    RunBusyError,
    TableContract,
)
from pipeline.graph import ARTIFACT_CONTRACTS, STAGES, find_producer

SCHEMA_VERSION = 1


def write_text(path: Path, text: str) -> None:
    """Write `text`, atomically: whoever reads `path` sees the old text or the whole new one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, atomically."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def read_json(path: Path) -> Any:
    """The JSON value in `path`; raises `InputError` where the file is missing or cut short."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); delete its folder and run again with --resume"
        ) from error


def hash_content(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, or of a folder's file names and bytes."""
    if path.is_dir():
        parts = [
            f"{p.relative_to(path).as_posix()}:{hash_content(p)}"
            for p in sorted(path.rglob("*"))
            if p.is_file()
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def compute_stamp(path: Path) -> str:
    """Names, sizes and times of change of a file or of a folder's files: while they stand, so do the hashes."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(p.relative_to(path.parent).as_posix(), p.stat()) for p in files if p.is_file()]
    return compute_key([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])


def compute_key(*parts: Any) -> str:
    """SHA-256 (hex) of any JSON-able parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Hold `path` for one process at a time, through a lock file beside it.

    On a mounted folder this also holds between machines, where the file system's `flock` does (NFS 4).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _save_array(path: Path, value: Any) -> None:
    try:
        if isinstance(getattr(value, "base", None), mmap) and str(
            getattr(value, "filename", "")
        ).endswith(".npy"):
            _link_or_copy(
                str(value.filename), str(path)
            )  # the whole of such a file: nothing is read into memory
        else:
            np.save(path, value, allow_pickle=False)
    except OSError as error:  # on a full disk numpy says only how much it wrote
        raise OSError(
            error.errno or errno.ENOSPC, os.strerror(error.errno or errno.ENOSPC), str(path)
        ) from error


def write_artifact(path: Path, contract: Any, value: Any) -> None:
    """Write a value of one of the five kinds of artifact at `path`."""
    if isinstance(contract, TableContract):
        value.reset_index(drop=True).to_parquet(path, index=False)
    elif isinstance(contract, ArrayContract):
        _save_array(path, value)
    elif isinstance(contract, RecordContract):
        write_json(path, value)
    elif isinstance(contract, FolderContract):
        shutil.copytree(value, path, copy_function=_link_or_copy)
    elif isinstance(contract, ObjectContract):
        value.save(path)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _describe_lock_holder(lock_text: str) -> str:
    """Who holds a lock, from what its holder wrote into it."""
    number, _, host = lock_text.partition(" ")
    here = host == platform.node() and number.isdigit()
    if here and not Path(f"/proc/{number}").exists():
        return f"process {number} is gone, but a process that it started still works in this run; wait for it or end it"
    who = f" (process {number} on {host})" if number.isdigit() else ""
    return f"another process is at work in this run{who}; wait for it"


@dataclass(frozen=True)
class RunFolder:
    """One run's folder, `runs/<run_id>/`."""

    path: Path

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @classmethod
    def create_run(cls, runs_folder: Path, name: str, facts: Mapping[str, Any] = {}) -> RunFolder:
        """A new, empty run folder named by time and config; facts: as `begin` takes them."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        for suffix in ["", *(f"-{i}" for i in range(2, 1000))]:
            path = runs_folder / f"{stamp}-{name}{suffix}"
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            return cls.open_or_create(path, facts)
        raise InputError(f"{runs_folder}: a thousand runs began in one second; try again")

    @classmethod
    def open_or_create(cls, path: Path, facts: Mapping[str, Any] = {}) -> RunFolder:
        """Make `path` a run folder, or open the one that stands there; facts: further fields of a new `run.json`."""
        path.mkdir(parents=True, exist_ok=True)
        if not (path / "run.json").exists():
            created = time.strftime("%Y-%m-%d %H:%M:%S")
            write_json(
                path / "run.json",
                {"schema": SCHEMA_VERSION, "version": __version__, "created": created, **facts},
            )
        return cls.open_existing(path)

    @classmethod
    def open_existing(cls, path: Path) -> RunFolder:
        """The run in `path`; raises `InputError` where there is none, or one of another version."""
        if not (path / "run.json").is_file():
            known = ", ".join(r.run_id for r in list_runs(path.parent)[:5]) or "none"
            raise InputError(f"{path}: no such run; the latest are: {known}")
        schema = read_json(path / "run.json").get("schema")
        if schema != SCHEMA_VERSION:
            raise InputError(
                f"{path}: written by another version of nightshift (schema {schema}, this one reads {SCHEMA_VERSION}); "
                "start a new run, or use that version"
            )
        return cls(path)

    @contextmanager
    def hold_lock(self) -> Iterator[None]:
        """Hold this run for one process (children inherit it); raises `Busy` where another holds it.

        The kernel lets go of it when the last of them ends, however it ends: a lock file left behind locks nothing.
        """
        with (self.path / ".lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise RunBusyError(f"{self.path}: {_describe_lock_holder(file.read())}") from error
            file.truncate(0)
            file.write(f"{os.getpid()} {platform.node()}")
            file.flush()
            os.set_inheritable(file.fileno(), True)
            yield

    def discard_if_empty(self) -> None:
        """Remove a run in which nothing was made: no finished stage, no checkpoint. Hold its lock."""
        if not list_finished_stages(self) and not any(file for file in self.path.glob(".work-*/*")):
            shutil.rmtree(self.path)

    def read_record(self, stage: str) -> dict[str, Any] | None:
        """`stage.json` of a finished stage, or None."""
        path = self.path / stage / "stage.json"
        return dict(read_json(path)) if path.is_file() else None

    def get_artifact_path(self, artifact: str) -> Path:
        """Where an artifact of this run lies."""
        return (
            self.path
            / find_producer(artifact).name
            / f"{artifact}{ARTIFACT_CONTRACTS[artifact].suffix}"
        )

    def load_artifact(self, artifact: str) -> Any:
        """An artifact's value; arrays are memory-mapped. Raises `InputError` where it is missing or broken."""
        path, kind = self.get_artifact_path(artifact), ARTIFACT_CONTRACTS[artifact]
        if not path.exists():
            raise InputError(
                f"{path}: missing; run the stage {find_producer(artifact).name} of this run first"
            )
        try:
            if isinstance(kind, TableContract):
                return pd.read_parquet(path)
            if isinstance(kind, ArrayContract):
                return np.load(
                    path,
                    mmap_mode="r" if path.stat().st_size > 1 << 20 else None,
                    allow_pickle=False,
                )
            if isinstance(kind, ObjectContract):
                return kind.import_class().load(path)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: cannot be read ({error}); delete its folder and run again"
            ) from error
        return read_json(path) if isinstance(kind, RecordContract) else path

    def prepare_scratch(self, stage: str, key: str) -> Path:
        """A folder for checkpoints of this stage with these inputs; it survives a kill."""
        for other in self.path.glob(f".work-{stage}-*"):
            if not other.name.endswith(key[:12]):
                shutil.rmtree(other)
        path = self.path / f".work-{stage}-{key[:12]}"
        path.mkdir(exist_ok=True)
        return path

    def _move_into_place(self, staging_folder: Path, stage: str) -> None:
        target, old = self.path / stage, self.path / f".old-{stage}"
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        staging_folder.rename(target)
        shutil.rmtree(old, ignore_errors=True)
        for work in self.path.glob(f".work-{stage}-*"):
            shutil.rmtree(work)

    def save_stage(self, stage: str, outputs: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        """Write every artifact of a stage, with their hashes, and rename them into place together."""
        aside = self.path / f".tmp-{stage}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        hashes, stamps = {}, {}
        for name, value in outputs.items():
            path = aside / f"{name}{ARTIFACT_CONTRACTS[name].suffix}"
            write_artifact(path, ARTIFACT_CONTRACTS[name], value)
            hashes[name], stamps[name] = hash_content(path), compute_stamp(path)
        write_json(
            aside / "stage.json", {**record, "stage": stage, "artifacts": hashes, "stamps": stamps}
        )
        self._move_into_place(aside, stage)

    def link_stage(self, stage: str, source_run: RunFolder) -> None:
        """Take over, by hard links, a stage that another run made from the same inputs."""
        aside = self.path / f".tmp-{stage}"
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(source_run.path / stage, aside, copy_function=_link_or_copy)
        record = {**read_json(aside / "stage.json"), "linked_from": source_run.run_id}
        write_json(aside / "stage.json", record)
        self._move_into_place(aside, stage)

    def find_damage(self, stage: str) -> str:
        """The first artifact of a finished stage that is missing or not what was saved, in words; else "".

        A file whose size and time of change are those it was saved with is not read again.
        """
        record = self.read_record(stage) or {"artifacts": {}}
        for name, wanted in record["artifacts"].items():
            path = self.get_artifact_path(name)
            if not path.exists():
                return f"{path}: missing"
            if (
                record.get("stamps", {}).get(name) != compute_stamp(path)
                and hash_content(path) != wanted
            ):
                return f"{path}: cut short or altered since it was written (hash mismatch)"
        return ""

    def is_intact(self, stage: str) -> bool:
        """Whether every artifact of a finished stage is still what was saved."""
        return not self.find_damage(stage)


def list_runs(runs_folder: Path) -> list[RunFolder]:
    """Every run folder of this version under `home`, newest first; others are passed over."""
    found = []
    for path in runs_folder.glob("*/run.json"):
        try:
            found.append((read_json(path).get("created", ""), RunFolder.open_existing(path.parent)))
        except InputError:
            continue
    return [
        run for _, run in sorted(found, key=lambda pair: (pair[0], pair[1].run_id), reverse=True)
    ]


def list_finished_stages(run: RunFolder) -> list[str]:
    """The names of the stages that stand in this run, in the order of the graph."""
    return [s.name for s in STAGES if (run.path / s.name / "stage.json").is_file()]
