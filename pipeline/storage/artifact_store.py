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
from pipeline.storage import run_record, stage_swaps
from pipeline.storage.atomic_files import lock_file as lock_file
from pipeline.storage.atomic_files import open_lock_file, read_json_object
from pipeline.storage.atomic_files import read_json as read_json
from pipeline.storage.atomic_files import write_json as write_json
from pipeline.storage.atomic_files import write_text as write_text
from pipeline.storage.run_record import LOCK_FILE, RECORD_FILE, list_foreign_entries
from pipeline.storage.run_record import SCHEMA_VERSION as SCHEMA_VERSION
from pipeline.storage.stage_swaps import SCRATCH_PREFIX, STAGING_PREFIX

MAX_LOADED_ARRAY_BYTES = 1 << 20
"""Larger array files are memory-mapped: a map costs more than a read of a small file."""
MAX_HOLDER_BYTES = 300
"""Bytes that are read of a lock file: a process id and the name of a machine."""


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


def _lock_descriptor(descriptor: int, path: Path) -> None:
    """Lock a run's open lock file without waiting, and write the holder into it.

    Raises:
        RunBusyError: another process holds it.
        InputError: the run was removed meanwhile.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        text = os.pread(descriptor, MAX_HOLDER_BYTES, 0).decode(errors="replace")
        raise RunBusyError(f"{path.parent}: {_describe_lock_holder(text)}") from error
    if not path.exists() or path.stat().st_ino != os.fstat(descriptor).st_ino:
        raise InputError(f"{path.parent}: another process removed this run")
    with suppress(OSError):  # the holder's name is a courtesy, on a full disk too
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {platform.node()}".encode(), 0)


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
        """Return a new, empty run folder named by time (UTC) and config.

        Args:
            runs_folder: folder of all runs.
            name: the config's name.
            facts: as for `open_or_create`.

        Raises:
            InputError: a thousand runs began in the same second.
        """
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
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
            InputError: the name is not that of a run, the folder holds something else, or the run
                was written by another version.
        """
        run_record.check_run_id(path.name, str(path))
        if not (path / RECORD_FILE).exists():
            _refuse_foreign_folder(path)
            path.mkdir(parents=True, exist_ok=True)
            run_record.assign_sequence(path.parent, path)
            record = {"schema": SCHEMA_VERSION, "version": __version__}
            write_json(path / RECORD_FILE, {**record, "created": run_record.format_now(), **facts})
        return cls.open_existing(path)

    @classmethod
    def open_existing(cls, path: Path) -> RunFolder:
        """Return the run in `path`.

        Raises:
            InputError: there is none, its record is damaged, or it was written by another version.
        """
        run_record.check_run_id(path.name, str(path))
        if not (path / RECORD_FILE).is_file():
            known = ", ".join(run.run_id for run in list_runs(path.parent)[:5]) or "none"
            raise InputError(f"{path}: no such run; the latest are: {known}")
        run_record.read_run_record(path)
        return cls(path)

    @contextmanager
    def hold_lock(self) -> Iterator[None]:
        """Hold this run for one process and its children, which inherit the lock.

        The kernel releases the lock when the last of them ends, for whatever reason. A lock file
        alone locks nothing.

        Raises:
            RunBusyError: another process holds it.
        """
        path = self.path / LOCK_FILE
        descriptor = open_lock_file(path)
        try:
            _lock_descriptor(descriptor, path)
            stage_swaps.recover_swaps(self.path)
            os.set_inheritable(descriptor, True)
            yield
        finally:
            os.close(descriptor)

    def discard_if_empty(self) -> None:
        """Remove a run without a finished stage or checkpoint, and an empty folder of runs.

        Files that this program did not write stay, and so does a folder that holds them. The caller
        holds the run's lock.
        """
        if list_finished_stages(self) or any(self.path.glob(f"{SCRATCH_PREFIX}*/*")):
            return
        if list_foreign_entries(self.path):
            return
        stage_swaps.remove_folder(self.path)
        with suppress(OSError):  # other files are in it
            (self.path.parent / f".{RECORD_FILE}.lock").unlink(missing_ok=True)
            self.path.parent.rmdir()

    def read_record(self, stage: str) -> dict[str, Any] | None:
        """Return `stage.json` of a finished stage, or None.

        Raises:
            InputError: it is damaged.
        """
        return run_record.read_stage_record(self.path, stage)

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
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise InputError(
                f"{path}: cannot be read ({error}); delete its folder and run again"
            ) from error
        return read_json_object(path) if isinstance(contract, RecordContract) else path

    def prepare_scratch(self, stage: str, key: str) -> Path:
        """Return the folder for checkpoints of a stage with these inputs; it survives a kill."""
        for other in self.path.glob(f"{SCRATCH_PREFIX}{stage}-*"):
            if not other.name.endswith(key[:12]):
                shutil.rmtree(other)
        path = self.path / f"{SCRATCH_PREFIX}{stage}-{key[:12]}"
        path.mkdir(exist_ok=True)
        return path

    def _move_into_place(self, staging_folder: Path, stage: str) -> None:
        stage_swaps.swap_stage(self.path, staging_folder, stage)
        for work in self.path.glob(f"{SCRATCH_PREFIX}{stage}-*"):
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
        folder = self.path / f"{STAGING_PREFIX}{stage}"
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


def scan_runs(runs_folder: Path) -> tuple[list[RunFolder], list[str]]:
    """Return the runs of this version, newest first, and one line on each that was skipped."""
    ordered, problems = [], []
    for path in sorted(runs_folder.glob(f"*/{RECORD_FILE}")):
        if path.parent.name.startswith("."):
            continue
        try:
            run = RunFolder.open_existing(path.parent)
            record = run_record.read_run_record(run.path)
            ordered.append((run_record.get_order(run.path, record), run))
        except InputError as error:
            problems.append(str(error))
    ordered.sort(key=lambda entry: entry[0], reverse=True)
    return [run for _, run in ordered], problems


def list_runs(runs_folder: Path) -> list[RunFolder]:
    """Return the run folders of this version, newest first, and skip others."""
    return scan_runs(runs_folder)[0]


def _refuse_foreign_folder(path: Path) -> None:
    """Raise `InputError` if a folder without `run.json` holds something else than a run."""
    if path.is_dir() and (entries := list_foreign_entries(path)):
        raise InputError(
            f"{path}: no run, and not empty (it holds {entries[0]}); name a folder for one run"
        )


def list_finished_stages(run: RunFolder) -> list[str]:
    """Return the names of the finished stages of a run, in the order of the graph."""
    return [stage.name for stage in STAGES if (run.path / stage.name / "stage.json").is_file()]
