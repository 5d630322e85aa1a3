"""Changes of a data set since a run last used it, at low cost for a million files.

Names, sizes and modification times are compared first. Only files that are new by these are read,
once. So a file that is touched, or replaced by an equal copy, is not a change.

Two indexes are kept beside the runs. `.NAME.seen.json` lists the files that the last run used.
`.NAME.next.json` lists the files of the last check, until a run uses them. `.NAME.failed.json`
names the files and the config with which a run failed: it is not begun again with the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline import config
from pipeline.config import GeneralSettings
from pipeline.contracts import InputError
from pipeline.data.reading.folder_walk import walk_files
from pipeline.graph import STAGES
from pipeline.settings_validation import join_path
from pipeline.storage import artifact_store
from pipeline.storage.atomic_files import TEMPORARY_PREFIX

MAX_SETTLE_PERIODS = 30
"""Multiple of `settle_seconds` after which files that keep changing are used as they are."""
READER_THREADS = 8
"""Threads that read files; disks and network shares serve several at once."""

FileEntry = tuple[int, int, str]
"""A file's size in bytes, modification time in ns, and hash of its content."""
FileIndex = dict[str, FileEntry]
FileStat = tuple[int, int, tuple[float, float]]
"""A file's size in bytes, modification time in ns, and times of modification and inode change in s.

A copier may set back only the former."""


@dataclass(frozen=True)
class DatasetChange:
    """The result of a check.

    Attributes:
        state: changed | settling (files still change) | unchanged.
        mark: fingerprint of the content; empty while settling.
        words: counts of files in words.
    """

    state: str
    mark: str
    words: str


@dataclass(frozen=True)
class WatchedDataset:
    """A data set that is checked for the runs of one config.

    Attributes:
        general: the config's general part.
        data_path: a folder or a file.
        should_follow_links: whether links that lead out of the folder are followed.
        config_hash: hash of the config's file.
    """

    general: GeneralSettings
    data_path: Path
    should_follow_links: bool
    config_hash: str = ""

    def get_index_path(self, index_name: str) -> Path:
        """Return the path of the file `seen`, `next` or `failed`."""
        return self.general.runs / f".{self.general.name}.{index_name}.json"


def read_watched_dataset(config_path: Path) -> WatchedDataset:
    """Return the data set of a config, without importing a stage.

    Raises:
        InputError: the config names no data set, or one that is not on this machine.
    """
    stage_names = [stage.name for stage in STAGES]
    general = config.read_general_settings(config_path, stage_names)
    ingest = config.read_section(config_path, "ingest")
    data = ingest.get("data")
    if not isinstance(data, str) or not data:
        raise InputError(f"{config_path}: ingest.data: name the folder or file to watch")
    path = join_path(data, config_path.parent)
    if ":" in data and not Path(path).exists():
        raise InputError(
            f"{config_path}: ingest.data: {data}: "
            "only a folder or a file of this machine can be watched"
        )
    config_hash = artifact_store.hash_content(config_path)
    return WatchedDataset(general, Path(path), ingest.get("follow_links") is True, config_hash)


@contextmanager
def hold_dataset(dataset: WatchedDataset) -> Iterator[None]:
    """Hold a data set for one run from the check of its changes to the end.

    Raises:
        RunBusyError: another process checks it or runs on its changes.
    """
    with artifact_store.lock_file(dataset.get_index_path("run"), should_wait=False):
        yield


def _read_stat(path: Path | str) -> FileStat:
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns, (stat.st_mtime, stat.st_ctime)


def _iterate_stats(dataset: WatchedDataset) -> Iterator[tuple[str, FileStat]]:
    """Yield the name within the data set and the stat of each file."""
    if dataset.data_path.is_file():
        yield dataset.data_path.name, _read_stat(dataset.data_path)
    if not dataset.data_path.is_dir():
        return
    top = os.path.abspath(dataset.data_path)
    for file in walk_files(dataset.data_path, dataset.should_follow_links):
        try:
            yield file.path[len(top) + 1 :], _read_stat(file.path)
        except OSError:  # removed meanwhile, or a dangling link
            continue


def _hash_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:  # an unreadable file counts as changed once it can be read
        return error.strerror or "unreadable"


def _read_index(path: Path) -> FileIndex | None:
    """Return an index, or None if it is missing or damaged: then every file counts as new."""
    try:
        entries = json.loads(path.read_text())
        return {name: (entry[0], entry[1], entry[2]) for name, entry in entries.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _write_index(path: Path, index: Mapping[str, FileEntry]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    artifact_store.write_text(path, json.dumps(index))


def _is_settled(times: Iterable[tuple[float, float]], settle_seconds: int, now: float) -> bool:
    """Return whether the files that changed at these times are no longer being written.

    A time in the future proves nothing: a camera's clock may be wrong. A little later than now is
    the clock of a file server.
    """
    latest = []
    for file_times in times:
        past = [time for time in file_times if time <= now + settle_seconds]
        latest += [max(past)] if past else []
    return (
        not latest
        or now - max(latest) >= settle_seconds
        or now - min(latest) >= MAX_SETTLE_PERIODS * settle_seconds
    )


def _build_index(
    dataset: WatchedDataset,
    known_index: FileIndex,
    stats: Mapping[str, FileStat],
    changed_names: list[str],
) -> FileIndex:
    """Return the index of the present files.

    Args:
        dataset: the data set.
        known_index: the index of the last run.
        stats: stat of each present file, by name.
        changed_names: files that are read; the hashes of all others come from `known_index`.
    """
    paths = []
    for name in changed_names:
        paths.append(dataset.data_path / name if dataset.data_path.is_dir() else dataset.data_path)
    with ThreadPoolExecutor(READER_THREADS) as pool:
        digests = dict(zip(changed_names, pool.map(_hash_file, paths), strict=True))
    index: FileIndex = {}
    for name, (size, modified, _) in sorted(stats.items()):
        digest = digests[name] if name in digests else known_index[name][2]
        index[name] = (size, modified, digest)
    return index


def _describe_changes(known_index: FileIndex, new_index: FileIndex) -> str:
    """Return the counts of added, changed and removed files in words; empty for no change."""
    added = len(new_index.keys() - known_index.keys())
    removed = len(known_index.keys() - new_index.keys())
    common = new_index.keys() & known_index.keys()
    changed = sum(new_index[name][2] != known_index[name][2] for name in common)
    if not added + changed + removed:
        return ""
    counts = f"{added:,} added, {changed:,} changed, {removed:,} removed"
    return f"{counts}, of {len(new_index):,} files"


def _fingerprint_index(index: Mapping[str, FileEntry]) -> str:
    lines = "".join(f"{name}\0{entry[2]}\n" for name, entry in sorted(index.items()))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def detect_changes(dataset: WatchedDataset, now: float | None = None) -> DatasetChange:
    """Compare the present files with those that the last run used.

    A data set that is missing counts as changed, once: the run that starts reports the error.

    Args:
        dataset: the data set.
        now: seconds since the epoch; None for the clock's time.
    """
    with artifact_store.lock_file(dataset.get_index_path("seen")):
        return _compare_with_seen(dataset, time.time() if now is None else now)


def _compare_with_seen(dataset: WatchedDataset, now: float) -> DatasetChange:
    seen_index = _read_index(dataset.get_index_path("seen"))
    known = seen_index or {}
    stats = dict(_iterate_stats(dataset))
    odd = [name for name, stat in stats.items() if known.get(name, ())[:2] != stat[:2]]
    change_times = [stats[name][2] for name in odd]
    if not _is_settled(change_times, dataset.general.schedule.settle_seconds, now):
        words = f"{len(odd):,} of {len(stats):,} files are new or being written"
        return DatasetChange("settling", "", f"{words}; waiting until they stop changing")
    if seen_index is not None and not odd and len(stats) == len(known):
        return DatasetChange("unchanged", _fingerprint_index(known), f"{len(known):,} files")
    index = _build_index(dataset, known, stats, odd)
    words = _describe_changes(known, index)
    if seen_index is not None and not words:
        _write_index(dataset.get_index_path("seen"), index)  # touched files are not read again
        words = f"{len(index):,} files, some touched, with the same content"
        return DatasetChange("unchanged", _fingerprint_index(index), words)
    _write_index(dataset.get_index_path("next"), index)
    words = words or f"no files: {dataset.data_path}"
    return DatasetChange("changed", _fingerprint_index(index), words)


def accept_changes(dataset: WatchedDataset, fingerprint: str) -> bool:
    """Mark the files of the check with this fingerprint as used by a run.

    Returns:
        False if a later check found other files.
    """
    with artifact_store.lock_file(dataset.get_index_path("seen")):
        index = _read_index(dataset.get_index_path("next"))
        if index is None or _fingerprint_index(index) != fingerprint:
            return False
        dataset.get_index_path("next").replace(dataset.get_index_path("seen"))
        return True


def note_failure(dataset: WatchedDataset, fingerprint: str, reason: str) -> None:
    """Remember that a run on the files with this fingerprint failed, and why."""
    record = {"mark": fingerprint, "config": dataset.config_hash, "why": reason}
    artifact_store.write_json(dataset.get_index_path("failed"), record)


def read_failure(dataset: WatchedDataset, fingerprint: str) -> str:
    """Return why a run on the same files with the same config failed; empty if none did."""
    try:
        record = artifact_store.read_json(dataset.get_index_path("failed"))
        is_same = (record["mark"], record["config"]) == (fingerprint, dataset.config_hash)
        return str(record["why"]) if is_same else ""
    except (InputError, LookupError, TypeError):
        return ""


def drop_file_names(runs_folder: Path, names: Collection[str]) -> None:
    """Remove files from every index in a folder of runs; a damaged index is removed."""
    for path in [*runs_folder.glob(".*.seen.json"), *runs_folder.glob(".*.next.json")]:
        seen = path.with_name(path.name.replace(".next.json", ".seen.json"))
        with artifact_store.lock_file(seen):
            index = _read_index(path)
            if index is None:
                path.unlink(missing_ok=True)
            elif not index.keys().isdisjoint(names):
                kept = {name: entry for name, entry in index.items() if name not in names}
                _write_index(path, kept)
    for leftover in runs_folder.glob(f"{TEMPORARY_PREFIX}.*"):
        leftover.unlink(missing_ok=True)
