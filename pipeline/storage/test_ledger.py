"""The ledger of test openings: the alpha that each opening of a sealed test set spends.

Opening k of one test set spends alpha / (k (k + 1)), so that all openings together spend at most
alpha. Earlier openings count by the share of groups that they have in common with it. An opening is
on disk before the test set is used.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from pipeline.contracts import InputError
from pipeline.domain.statuses import OpeningReason

MAX_OPENINGS = 5
"""Openings of one test set. A sixth could spend alpha / 42, too little to decide anything."""
_ENTRY_FIELDS = {"test_id", "run_id", "number", "alpha", "time", "candidates", "groups"}
ORDINAL_WORDS = ("first", "second", "third", "fourth", "fifth")


@dataclass(frozen=True)
class LedgerOpening:
    """An opening of a test set.

    Attributes:
        test_id: hash of the set's groups.
        number: 1 for the first opening of these groups, rounded where a part was opened before.
        alpha: significance level that it may spend.
        time: when it was opened, ISO 8601 in UTC.
        opened: False if the set is used up.
        reused: whether this run opened it before, for the same models.
        reason: why it was opened or not.
    """

    test_id: str
    number: int
    alpha: float
    time: str
    opened: bool
    reused: bool
    reason: OpeningReason

    def build_record(self) -> dict[str, Any]:
        """Return the opening as JSON, with its ordinal in words."""
        ordinal = f"{self.number}th"
        if self.number <= len(ORDINAL_WORDS):
            ordinal = ORDINAL_WORDS[self.number - 1]
        return {**asdict(self), "ordinal": ordinal}


def build_sealed_record(reason: OpeningReason) -> dict[str, Any]:
    """Return the record of a test set that was not opened, with the reason."""
    unknown = dict.fromkeys(("test_id", "number", "ordinal", "alpha", "time"))
    return {**unknown, "opened": False, "reused": False, "reason": reason}


def compute_opening_alpha(alpha: float, opening_number: float) -> float:
    """Return the part of alpha that an opening may spend.

    >>> compute_opening_alpha(0.05, 1)
    0.025
    >>> round(compute_opening_alpha(0.05, 1.5), 4)  # half of the groups were opened once
    0.0133

    Args:
        alpha: level of all openings together.
        opening_number: 1 for the first opening; between two whole numbers where a part of the
            groups was opened before.
    """
    return alpha / (opening_number * (opening_number + 1))


def hash_group_name(group: str) -> str:
    """Return twelve hexadecimal digits that stand for a group in ledgers."""
    return hashlib.sha256(str(group).encode()).hexdigest()[:12]


def _hash_groups(groups: Iterable[str]) -> list[str]:
    return sorted({hash_group_name(group) for group in groups})


def compute_test_id(groups: Iterable[str]) -> str:
    """Return the id of a test set: a hash (16 hex digits) of its sorted group ids."""
    sorted_groups = sorted(set(map(str, groups)))
    return hashlib.sha256("\n".join(sorted_groups).encode()).hexdigest()[:16]


@contextmanager
def _lock_ledger(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _read_entries(file: IO[bytes], path: Path) -> list[dict[str, Any]]:
    """Return all entries, and remove a last line that a kill cut short before it was used."""
    file.seek(0)
    text = file.read()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        file.truncate(len(whole))
    try:
        lines = whole.decode().split("\n")
        return [_parse_entry(line) for line in lines if line.strip()]
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path}: the ledger of test openings is damaged; restore it from a backup"
        ) from error


def _parse_entry(line: str) -> dict[str, Any]:
    """Return an entry of the ledger.

    Raises:
        ValueError: it is no entry.
    """
    entry = json.loads(line)
    if not isinstance(entry, dict) or not set(entry) >= _ENTRY_FIELDS:
        raise ValueError("not an opening")
    if not isinstance(entry["groups"], list):
        raise TypeError("groups must be a list")
    return entry


def _append_entry(file: IO[bytes], path: Path, entry: dict[str, Any]) -> None:
    file.write(json.dumps(entry, allow_nan=False).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _measure_overlap(entry: dict[str, Any], groups: set[str]) -> float:
    """Return the share of these groups that an earlier opening used."""
    return len(groups & set(entry["groups"])) / max(len(groups), 1)


def _reuse_opening(entry: dict[str, Any]) -> LedgerOpening:
    return LedgerOpening(
        test_id=entry["test_id"],
        number=entry["number"],
        alpha=entry["alpha"],
        time=entry["time"],
        opened=True,
        reused=True,
        reason=OpeningReason.OPENED_BEFORE,
    )


def open_test_set(
    path: Path,
    run_id: str,
    groups: Iterable[str],
    models_fingerprint: str,
    alpha: float = 0.05,
    primary_endpoint: str = "",
) -> LedgerOpening:
    """Log an opening of a test set, and return it. It is on disk before this returns.

    An earlier opening counts by the share of these groups that it used, so that a set with new
    groups pays in proportion. Once the shares add up to `MAX_OPENINGS`, nothing is logged, and the
    result is not opened.

    Args:
        path: the ledger.
        run_id: the run that opens it.
        groups: ids of the test groups.
        models_fingerprint: hash of the models to compare. The same run with the same models reuses
            its opening.
        alpha: level of all openings together.
        primary_endpoint: the endpoint that was declared beforehand.

    Raises:
        InputError: the ledger is damaged.
    """
    group_ids = [str(group) for group in groups]
    hashes, test_id = _hash_groups(group_ids), compute_test_id(group_ids)
    identity = (run_id, models_fingerprint, test_id)
    with _lock_ledger(path) as file:
        entries = _read_entries(file, path)
        for entry in entries:
            if (entry["run_id"], entry["candidates"], entry["test_id"]) == identity:
                return _reuse_opening(entry)
        earlier = round(sum(_measure_overlap(entry, set(hashes)) for entry in entries), 9)
        number = round(earlier) + 1
        now = datetime.now(UTC).isoformat(timespec="seconds")
        if earlier >= MAX_OPENINGS:
            return LedgerOpening(
                test_id, number, 0.0, now, opened=False, reused=False, reason=OpeningReason.USED_UP
            )
        spent_alpha = compute_opening_alpha(alpha, earlier + 1)
        entry = {
            "test_id": test_id,
            "run_id": run_id,
            "number": number,
            "alpha": spent_alpha,
            "time": now,
            "candidates": models_fingerprint,
            "primary": primary_endpoint,
            "groups": hashes,
        }
        _append_entry(file, path, entry)
    return LedgerOpening(
        test_id,
        number,
        spent_alpha,
        now,
        opened=True,
        reused=False,
        reason=OpeningReason.VAL_PASSED,
    )
