"""The ledger of test openings: what each look at a sealed test set costs, written before the look.

Opening k of one test set spends alpha / (k (k + 1)), so that all openings together spend at most alpha.
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

MAX_OPENINGS = 5
"""Openings after which a test set is to be replaced by newly arrived groups."""
ORDINAL_WORDS = ("first", "second", "third", "fourth", "fifth")


@dataclass(frozen=True)
class LedgerOpening:
    """Opening `number` of a test set and the alpha it may spend; not `opened`: the set is used up."""

    test_id: str
    number: int
    alpha: float
    time: str
    opened: bool
    reused: bool
    reason: str

    def build_record(self) -> dict[str, Any]:
        """The opening as JSON, with its ordinal in words."""
        word = (
            ORDINAL_WORDS[self.number - 1]
            if self.number <= len(ORDINAL_WORDS)
            else f"{self.number}th"
        )
        return {**asdict(self), "ordinal": word}


def build_sealed_record(reason: str) -> dict[str, Any]:
    """The record of a test set that was not opened, and why."""
    unknown = dict.fromkeys(("test_id", "number", "ordinal", "alpha", "time"))
    return {**unknown, "opened": False, "reused": False, "reason": reason}


def compute_opening_alpha(alpha: float, opening_number: int) -> float:
    """What opening `number` (from 1) may spend of alpha."""
    return alpha / (opening_number * (opening_number + 1))


def _hash_groups(groups: Iterable[str]) -> list[str]:
    return sorted({hashlib.sha256(str(g).encode()).hexdigest()[:12] for g in groups})


def compute_test_id(groups: Iterable[str]) -> str:
    """The name of a test set: a hash (16 hex digits) of its sorted group ids."""
    return hashlib.sha256("\n".join(sorted({str(g) for g in groups})).encode()).hexdigest()[:16]


@contextmanager
def _lock_ledger(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _read_entries(file: IO[bytes], path: Path) -> list[dict[str, Any]]:
    """All entries; a last line that a kill cut short (nothing was read after it) is taken away."""
    file.seek(0)
    text = file.read()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        file.truncate(len(whole))
    try:
        return [dict(json.loads(line)) for line in whole.decode().splitlines() if line.strip()]
    except ValueError as error:
        raise InputError(
            f"{path}: the ledger of test openings is damaged; restore it from a backup"
        ) from error


def _append_entry(file: IO[bytes], path: Path, entry: dict[str, Any]) -> None:
    file.write(json.dumps(entry, allow_nan=False).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _is_same_test_set(entry: dict[str, Any], groups: set[str]) -> bool:
    """Whether an earlier opening saw this test set: it holds at least half of the groups."""
    return 2 * len(groups & set(entry["groups"])) >= len(groups)


def open_test_set(
    path: Path,
    run_id: str,
    groups: Iterable[str],
    models_fingerprint: str,
    alpha: float = 0.05,
    primary_endpoint: str = "",
) -> LedgerOpening:
    """Log an opening of the test set with these group ids in the ledger at `path`, on disk before this returns.

    candidates: a fingerprint of the models to be judged; the same run with the same models reuses its opening.
    primary: what was declared as the primary endpoint. A set of which half the groups were seen before counts as the
    same set. After `MOST` openings nothing is logged and the answer is not opened. Raises `InputError` where the
    ledger is damaged.
    """
    names = [str(g) for g in groups]
    hashed, test_id = _hash_groups(names), compute_test_id(names)
    with _lock_ledger(path) as file:
        earlier = [e for e in _read_entries(file, path) if _is_same_test_set(e, set(hashed))]
        for e in earlier:
            if (e["run_id"], e["candidates"], e["test_id"]) == (
                run_id,
                models_fingerprint,
                test_id,
            ):
                return LedgerOpening(
                    test_id,
                    e["number"],
                    e["alpha"],
                    e["time"],
                    True,
                    True,
                    "opened by this run before",
                )
        number, now = len(earlier) + 1, datetime.now(UTC).isoformat(timespec="seconds")
        if number > MAX_OPENINGS:
            why = f"this test set has been opened {MAX_OPENINGS} times; replace it by newly arrived groups"
            return LedgerOpening(test_id, number, 0.0, now, False, False, why)
        entry = {
            "test_id": test_id,
            "run_id": run_id,
            "number": number,
            "alpha": compute_opening_alpha(alpha, number),
            "time": now,
            "candidates": models_fingerprint,
            "primary": primary_endpoint,
            "groups": hashed,
        }
        _append_entry(file, path, entry)
    return LedgerOpening(
        test_id, number, compute_opening_alpha(alpha, number), now, True, False, "val passed"
    )
