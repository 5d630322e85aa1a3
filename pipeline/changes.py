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

from pipeline import config, store
from pipeline.config import General
from pipeline.contracts import InputError
from pipeline.datasets.tree import walk
from pipeline.graph import STAGES

PATIENCE = 30
"""Times `settle_seconds` after which files that never come to rest are taken as they are."""
READERS = 8  # threads; disks and shares answer several at once

Entry = tuple[int, int, str]
"""A file's size in bytes, time of change in ns, and hash of its content."""
Book = dict[str, Entry]
Stat = tuple[int, int, float]
"""Size in bytes, time of change in ns, and the latest time in s at which content or inode changed: the first may be set
back by whoever copies a file, the inode's may not."""


@dataclass(frozen=True)
class Look:
    """state: changed | settling (it changes still) | unchanged. mark: the content's fingerprint, empty while settling.
    words: what came, changed and went."""

    state: str
    mark: str
    words: str


@dataclass(frozen=True)
class Watched:
    """What is watched: a folder (links: also what its links lead out to) or a file, for the runs of one config."""

    general: General
    data: Path
    links: bool

    def book(self, which: str) -> Path:
        """Where the book `seen` or `next` lies."""
        return self.general.runs / f".{self.general.name}.{which}.json"


def watched(path: Path) -> Watched:
    """What the config at `path` has a run take. Imports no stage. Raises `InputError` where that cannot be watched."""
    general, ingest = config.general_of(path, [s.name for s in STAGES]), config.section_of(path, "ingest")
    data = ingest.get("data")
    if not isinstance(data, str) or not data:
        raise InputError(f"{path}: ingest.data: name the folder or file that is to be watched")
    if "://" in data or (":" in data and not Path(data).exists()):
        raise InputError(f"{path}: ingest.data: {data}: only a folder or a file of this machine can be watched")
    return Watched(general, Path(data), ingest.get("links") is True)


def _stat(path: Path | str) -> Stat:
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns, max(stat.st_mtime, stat.st_ctime)


def _stats(what: Watched) -> Iterator[tuple[str, Stat]]:
    if what.data.is_file():
        yield what.data.name, _stat(what.data)
    if not what.data.is_dir():
        return
    top = os.path.abspath(what.data)
    for found in walk(what.data, what.links):
        try:
            yield found.path[len(top) + 1 :], _stat(found.path)
        except OSError:  # gone meanwhile, or a link to nowhere
            continue


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:  # it may not be read: that is its content, until it may
        return error.strerror or "unreadable"


def _load(path: Path) -> Book | None:
    try:
        return {name: (size, changed, digest) for name, (size, changed, digest) in json.loads(path.read_text()).items()}
    except (OSError, ValueError):  # none yet, or cut short: everything counts as new
        return None


def _write(path: Path, book: Mapping[str, Entry]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    store.write_text(path, json.dumps(book))


def _at_rest(times: list[float], settle: int, now: float) -> bool:
    """Whether nobody writes the files any more that changed at these times."""
    return not times or now - max(times) >= settle or now - min(times) >= PATIENCE * settle


def _renewed(what: Watched, seen: Book, stats: Mapping[str, Stat], odd: list[str]) -> Book:
    """The book of what is there now: `odd` files are read, all others are as they were."""
    paths = [what.data / name if what.data.is_dir() else what.data for name in odd]
    with ThreadPoolExecutor(READERS) as pool:
        digests = dict(zip(odd, pool.map(_digest, paths), strict=True))
    return {
        name: (size, changed, digests[name] if name in digests else seen[name][2])
        for name, (size, changed, _) in sorted(stats.items())
    }


def _counted(seen: Book, book: Book) -> str:
    came, went = len(book.keys() - seen.keys()), len(seen.keys() - book.keys())
    changed = sum(book[name][2] != seen[name][2] for name in book.keys() & seen.keys())
    return f"{came:,} came, {changed:,} changed, {went:,} went, of {len(book):,} files" if came + went + changed else ""


def _mark(book: Mapping[str, Entry]) -> str:
    lines = "".join(f"{name}\0{entry[2]}\n" for name, entry in sorted(book.items()))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def look(what: Watched, now: float | None = None) -> Look:
    """Compare what is there with what the last run took. now: seconds since the epoch; none: the clock's.

    A data set that is gone counts as changed, once: the run that starts says what is wrong.
    """
    known, stats = _load(what.book("seen")), dict(_stats(what))
    seen = known or {}
    odd = [name for name, stat in stats.items() if seen.get(name, ())[:2] != stat[:2]]
    settle = what.general.schedule.settle_seconds
    if not _at_rest([stats[name][2] for name in odd], settle, time.time() if now is None else now):
        return Look(
            "settling", "", f"{len(odd):,} of {len(stats):,} files are new or written; waiting for them to rest"
        )
    if known is not None and not odd and len(stats) == len(seen):
        return Look("unchanged", _mark(seen), f"{len(seen):,} files, all as they were")
    book = _renewed(what, seen, stats, odd)
    words = _counted(seen, book)
    if known is not None and not words:
        _write(what.book("seen"), book)  # touched: not to be read again
        return Look("unchanged", _mark(book), f"{len(book):,} files with the content that they had")
    _write(what.book("next"), book)
    return Look("changed", _mark(book), words or f"no file is there: {what.data}")


def take(what: Watched, mark: str) -> bool:
    """Let what the look with this mark saw count as taken by a run; False where a later look saw something else."""
    book = _load(what.book("next"))
    if book is None or _mark(book) != mark:
        return False
    what.book("next").replace(what.book("seen"))
    return True
