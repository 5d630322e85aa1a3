"""Whether the files of a data set changed since a run last took them, cheaply for a million of them.

Names, sizes and times of change are compared first; the content is read of what is new by these alone, once. So a copy
that is put in place of an equal one, or a file that is only touched, is no change. The books lie with the runs:
`.NAME.seen.json` is what the last run took, `.NAME.next.json` what the last look saw, until a run takes it.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline import config
from pipeline.config import GeneralSettings
from pipeline.contracts import InputError
from pipeline.data.reading.file_tree import walk_files
from pipeline.graph import STAGES
from pipeline.storage import artifact_store

MAX_SETTLE_PERIODS = 30
"""Times `settle_seconds` after which files that never come to rest are taken as they are."""
READER_THREADS = 8  # threads; disks and shares answer several at once

FileEntry = tuple[int, int, str]
"""A file's size in bytes, time of change in ns, and hash of its content."""
FileIndex = dict[str, FileEntry]
FileStat = tuple[int, int, float]
"""Size in bytes, time of change in ns, and the latest time in s at which content or inode changed: the first may be set
back by whoever copies a file, the inode's may not."""


@dataclass(frozen=True)
class DatasetChange:
    """state: changed | settling (it changes still) | unchanged. mark: the content's fingerprint, empty while settling.
    words: what came, changed and went."""

    state: str
    mark: str
    words: str


@dataclass(frozen=True)
class WatchedDataset:
    """What is watched: a folder (links: also what its links lead out to) or a file, for the runs of one config."""

    general: GeneralSettings
    data_path: Path
    should_follow_links: bool

    def get_index_path(self, index_name: str) -> Path:
        """Where the book `seen` or `next` lies."""
        return self.general.runs / f".{self.general.name}.{index_name}.json"


def read_watched_dataset(config_path: Path) -> WatchedDataset:
    """What the config at `path` has a run take. Imports no stage. Raises `InputError` where that cannot be watched."""
    general, ingest = (
        config.read_general_settings(config_path, [s.name for s in STAGES]),
        config.read_section(config_path, "ingest"),
    )
    data = ingest.get("data")
    if not isinstance(data, str) or not data:
        raise InputError(
            f"{config_path}: ingest.data: name the folder or file that is to be watched"
        )
    if "://" in data or (":" in data and not Path(data).exists()):
        raise InputError(
            f"{config_path}: ingest.data: {data}: only a folder or a file of this machine can be watched"
        )
    return WatchedDataset(general, Path(data), ingest.get("links") is True)


def _read_stat(path: Path | str) -> FileStat:
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns, max(stat.st_mtime, stat.st_ctime)


def _iterate_stats(dataset: WatchedDataset) -> Iterator[tuple[str, FileStat]]:
    if dataset.data_path.is_file():
        yield dataset.data_path.name, _read_stat(dataset.data_path)
    if not dataset.data_path.is_dir():
        return
    top = os.path.abspath(dataset.data_path)
    for found in walk_files(dataset.data_path, dataset.should_follow_links):
        try:
            yield found.path[len(top) + 1 :], _read_stat(found.path)
        except OSError:  # gone meanwhile, or a link to nowhere
            continue


def _hash_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:  # it may not be read: that is its content, until it may
        return error.strerror or "unreadable"


def _read_index(path: Path) -> FileIndex | None:
    try:
        return {
            name: (size, changed, digest)
            for name, (size, changed, digest) in json.loads(path.read_text()).items()
        }
    except (OSError, ValueError):  # none yet, or cut short: everything counts as new
        return None


def _write_index(path: Path, index: Mapping[str, FileEntry]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    artifact_store.write_text(path, json.dumps(index))


def _is_settled(change_times: list[float], settle_seconds: int, now: float) -> bool:
    """Whether nobody writes the files any more that changed at these times."""
    return (
        not change_times
        or now - max(change_times) >= settle_seconds
        or now - min(change_times) >= MAX_SETTLE_PERIODS * settle_seconds
    )


def _update_index(
    dataset: WatchedDataset,
    known_index: FileIndex,
    stats: Mapping[str, FileStat],
    changed_names: list[str],
) -> FileIndex:
    """The book of what is there now: `odd` files are read, all others are as they were."""
    paths = [
        dataset.data_path / name if dataset.data_path.is_dir() else dataset.data_path
        for name in changed_names
    ]
    with ThreadPoolExecutor(READER_THREADS) as pool:
        digests = dict(zip(changed_names, pool.map(_hash_file, paths), strict=True))
    return {
        name: (size, changed, digests[name] if name in digests else known_index[name][2])
        for name, (size, changed, _) in sorted(stats.items())
    }


def _describe_changes(known_index: FileIndex, new_index: FileIndex) -> str:
    came, went = (
        len(new_index.keys() - known_index.keys()),
        len(known_index.keys() - new_index.keys()),
    )
    changed = sum(
        new_index[name][2] != known_index[name][2] for name in new_index.keys() & known_index.keys()
    )
    return (
        f"{came:,} came, {changed:,} changed, {went:,} went, of {len(new_index):,} files"
        if came + went + changed
        else ""
    )


def _fingerprint_index(index: Mapping[str, FileEntry]) -> str:
    lines = "".join(f"{name}\0{entry[2]}\n" for name, entry in sorted(index.items()))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def detect_changes(dataset: WatchedDataset, now: float | None = None) -> DatasetChange:
    """Compare what is there with what the last run took. now: seconds since the epoch; none: the clock's.

    A data set that is gone counts as changed, once: the run that starts says what is wrong.
    """
    known, stats = _read_index(dataset.get_index_path("seen")), dict(_iterate_stats(dataset))
    seen = known or {}
    odd = [name for name, stat in stats.items() if seen.get(name, ())[:2] != stat[:2]]
    settle = dataset.general.schedule.settle_seconds
    if not _is_settled(
        [stats[name][2] for name in odd], settle, time.time() if now is None else now
    ):
        return DatasetChange(
            "settling",
            "",
            f"{len(odd):,} of {len(stats):,} files are new or written; waiting for them to rest",
        )
    if known is not None and not odd and len(stats) == len(seen):
        return DatasetChange(
            "unchanged", _fingerprint_index(seen), f"{len(seen):,} files, all as they were"
        )
    book = _update_index(dataset, seen, stats, odd)
    words = _describe_changes(seen, book)
    if known is not None and not words:
        _write_index(dataset.get_index_path("seen"), book)  # touched: not to be read again
        return DatasetChange(
            "unchanged",
            _fingerprint_index(book),
            f"{len(book):,} files with the content that they had",
        )
    _write_index(dataset.get_index_path("next"), book)
    return DatasetChange(
        "changed", _fingerprint_index(book), words or f"no file is there: {dataset.data_path}"
    )


def accept_changes(dataset: WatchedDataset, fingerprint: str) -> bool:
    """Let what the look with this mark saw count as taken by a run; False where a later look saw something else."""
    book = _read_index(dataset.get_index_path("next"))
    if book is None or _fingerprint_index(book) != fingerprint:
        return False
    dataset.get_index_path("next").replace(dataset.get_index_path("seen"))
    return True
