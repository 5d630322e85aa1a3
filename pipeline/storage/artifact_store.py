"""Artifacts as files in run folders. No other module reads or writes artifact files.

A stage's outputs are written to a temporary folder, which is then renamed into place. Its
`stage.json` holds the key (hash of all inputs), the content hash of every artifact, settings, code
version, notes and seconds. Nothing is unpickled.
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
from contextlib import contextmanager, suppress
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

SCHEMA_VERSION = 2
"""Version of the run folder's layout; nightshift 0.1 wrote 1."""

MAX_LOADED_ARRAY_BYTES = 1 << 20
"""Larger array files are memory-mapped: a map costs more than a read of a small file."""


def write_text(path: Path, text: str) -> None:
    """Write `text` atomically: a reader of `path` gets the old text or the whole new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON atomically."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def read_json(path: Path) -> Any:
    """Return the JSON value in `path`.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); delete its folder and run again with --resume"
        ) from error


def hash_content(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes, or of a folder's file names and bytes."""
    if path.is_dir():
        parts = []
        for file_path in _list_files(path):
            parts.append(f"{file_path.relative_to(path).as_posix()}:{hash_content(file_path)}")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _list_files(path: Path) -> list[Path]:
    """Return the files of a folder, sorted, or the file itself."""
    paths = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file_path for file_path in paths if file_path.is_file()]


def compute_stamp(path: Path) -> str:
    """Return a hash of the names, sizes and modification times of a file or a folder's files.

    While it stays the same, the content hashes need not be computed again.
    """
    entries = []
    for file_path in _list_files(path):
        stat = file_path.stat()
        name = file_path.relative_to(path.parent).as_posix()
        entries.append((name, stat.st_size, stat.st_mtime_ns))
    return compute_key(entries)


def compute_key(*parts: Any) -> str:
    """Return the SHA-256 (hex) of parts that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


@contextmanager
def lock_file(path: Path, *, should_wait: bool = True) -> Iterator[None]:
    """Hold `path` for one process at a time, by a lock file beside it.

    On a mounted folder this holds between machines if the file system's `flock` does (NFS 4).

    Args:
        path: what is held; it need not exist.
        should_wait: whether to wait for another process that holds it.

    Raises:
        RunBusyError: another process holds it, and `should_wait` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if should_wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise RunBusyError(f"{path}: another process is at work on it; wait for it") from error
        yield


def _save_array(path: Path, value: Any) -> None:
    """Save an array; a memory-mapped `.npy` file is linked, so that it is not read into memory."""
    source = str(getattr(value, "filename", ""))
    is_mapped_file = isinstance(getattr(value, "base", None), mmap) and source.endswith(".npy")
    try:
        if is_mapped_file:
            _link_or_copy(source, str(path))
        else:
            np.save(path, value, allow_pickle=False)
    except OSError as error:  # on a full disk numpy states only the count of bytes written
        code = error.errno or errno.ENOSPC
        raise OSError(code, os.strerror(code), str(path)) from error


def write_artifact(path: Path, contract: Any, value: Any) -> None:
    """Write an artifact's value.

    Args:
        path: the file or folder to make.
        contract: the artifact's contract; its kind decides the format.
        value: the value.
    """
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
    """Return a sentence on the process that holds a lock, from the text that it wrote into it."""
    process_id, _, host = lock_text.partition(" ")
    is_local = host == platform.node() and process_id.isdigit()
    if is_local and not Path(f"/proc/{process_id}").exists():
        return (
            f"process {process_id} is gone, but a process that it started still works in this run; "
            "wait for it or end it"
        )
    holder = f" (process {process_id} on {host})" if process_id.isdigit() else ""
    return f"another process is at work in this run{holder}; wait for it"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run, `runs/<run_id>/`.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @classmethod
    def create_run(cls, runs_folder: Path, name: str, facts: Mapping[str, Any] = {}) -> RunFolder:
        """Return a new, empty run folder named by time and config.

        Args:
            runs_folder: folder of all runs.
            name: the config's name.
            facts: as for `open_or_create`.

        Raises:
            InputError: a thousand runs began in the same second.
        """
        stamp = time.strftime("%Y%m%d-%H%M%S")
        for number in range(1, 1000):
            suffix = f"-{number}" if number > 1 else ""
            path = runs_folder / f"{stamp}-{name}{suffix}"
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            return cls.open_or_create(path, facts)
        raise InputError(f"{runs_folder}: a thousand runs began in one second; try again")

    @classmethod
    def open_or_create(cls, path: Path, facts: Mapping[str, Any] = {}) -> RunFolder:
        """Return the run folder at `path`, made if it is new.

        Args:
            path: the folder.
            facts: further fields of a new `run.json`.

        Raises:
            InputError: it was written by another version.
        """
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
        """Return the run in `path`.

        Raises:
            InputError: there is none, or it was written by another version.
        """
        if not (path / "run.json").is_file():
            known = ", ".join(run.run_id for run in list_runs(path.parent)[:5]) or "none"
            raise InputError(f"{path}: no such run; the latest are: {known}")
        schema = read_json(path / "run.json").get("schema")
        if schema != SCHEMA_VERSION:
            raise InputError(
                f"{path}: written by another version of nightshift (schema {schema}, "
                f"this one reads {SCHEMA_VERSION}); start a new run, or use that version"
            )
        return cls(path)

    @contextmanager
    def hold_lock(self) -> Iterator[None]:
        """Hold this run for one process and its children, which inherit the lock.

        The kernel releases the lock when the last of them ends, for whatever reason. A lock file
        alone locks nothing.

        Raises:
            RunBusyError: another process holds it.
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
        """Remove a run without a finished stage or checkpoint, and an empty folder of runs.

        The caller holds the run's lock.
        """
        if list_finished_stages(self) or any(self.path.glob(".work-*/*")):
            return
        shutil.rmtree(self.path)
        with suppress(OSError):  # other files are in it
            self.path.parent.rmdir()

    def read_record(self, stage: str) -> dict[str, Any] | None:
        """Return `stage.json` of a finished stage, or None."""
        path = self.path / stage / "stage.json"
        return dict(read_json(path)) if path.is_file() else None

    def get_artifact_path(self, artifact: str) -> Path:
        """Return the path of an artifact of this run."""
        stage = find_producer(artifact).name
        return self.path / stage / f"{artifact}{ARTIFACT_CONTRACTS[artifact].suffix}"

    def load_artifact(self, artifact: str) -> Any:
        """Return an artifact's value; large arrays are memory-mapped, a folder is its path.

        Raises:
            InputError: it is missing or damaged.
        """
        path, contract = self.get_artifact_path(artifact), ARTIFACT_CONTRACTS[artifact]
        if not path.exists():
            stage = find_producer(artifact).name
            raise InputError(f"{path}: missing; run the stage {stage} of this run first")
        try:
            if isinstance(contract, TableContract):
                return pd.read_parquet(path)
            if isinstance(contract, ArrayContract):
                is_large = path.stat().st_size > MAX_LOADED_ARRAY_BYTES
                return np.load(path, mmap_mode="r" if is_large else None, allow_pickle=False)
            if isinstance(contract, ObjectContract):
                return contract.import_class().load(path)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: cannot be read ({error}); delete its folder and run again"
            ) from error
        return read_json(path) if isinstance(contract, RecordContract) else path

    def prepare_scratch(self, stage: str, key: str) -> Path:
        """Return the folder for checkpoints of a stage with these inputs; it survives a kill."""
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
        """Write every artifact of a stage with its hash, and rename them into place together.

        Args:
            stage: the stage's name.
            outputs: values of its artifacts, by name.
            record: further fields of `stage.json`.
        """
        staging_folder = self._make_staging_folder(stage)
        hashes, stamps = {}, {}
        for name, value in outputs.items():
            path = staging_folder / f"{name}{ARTIFACT_CONTRACTS[name].suffix}"
            write_artifact(path, ARTIFACT_CONTRACTS[name], value)
            hashes[name], stamps[name] = hash_content(path), compute_stamp(path)
        fields = {**record, "stage": stage, "artifacts": hashes, "stamps": stamps}
        write_json(staging_folder / "stage.json", fields)
        self._move_into_place(staging_folder, stage)

    def _make_staging_folder(self, stage: str) -> Path:
        folder = self.path / f".tmp-{stage}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def link_stage(self, stage: str, source_run: RunFolder) -> None:
        """Link a stage that another run made from the same inputs, by hard links."""
        folder = self._make_staging_folder(stage)
        source = source_run.path / stage
        shutil.copytree(source, folder, copy_function=_link_or_copy, dirs_exist_ok=True)
        record = {**read_json(folder / "stage.json"), "linked_from": source_run.run_id}
        write_json(folder / "stage.json", record)
        self._move_into_place(folder, stage)

    def find_damage(self, stage: str) -> str:
        """Return one line on the first damaged artifact of a finished stage, or an empty string.

        A file with the size and modification time that it was saved with is not read again.
        """
        record = self.read_record(stage) or {"artifacts": {}}
        stamps = record.get("stamps", {})
        for name, saved_hash in record["artifacts"].items():
            path = self.get_artifact_path(name)
            if not path.exists():
                return f"{path}: missing"
            if stamps.get(name) != compute_stamp(path) and hash_content(path) != saved_hash:
                return f"{path}: cut short or altered since it was written (hash mismatch)"
        return ""

    def is_intact(self, stage: str) -> bool:
        """Return whether every artifact of a finished stage is as it was saved."""
        return not self.find_damage(stage)


def list_runs(runs_folder: Path) -> list[RunFolder]:
    """Return the run folders of this version, newest first, and skip others."""
    dated_runs = []
    for path in runs_folder.glob("*/run.json"):
        try:
            run = RunFolder.open_existing(path.parent)
            dated_runs.append((str(read_json(path).get("created", "")), run.run_id, run))
        except InputError:
            continue
    dated_runs.sort(key=lambda entry: entry[:2], reverse=True)
    return [run for _, _, run in dated_runs]


def list_finished_stages(run: RunFolder) -> list[str]:
    """Return the names of the finished stages of a run, in the order of the graph."""
    return [stage.name for stage in STAGES if (run.path / stage.name / "stage.json").is_file()]
