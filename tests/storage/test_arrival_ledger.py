"""Labeled batches of a challenger: pipeline/storage/arrival_ledger.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.storage.arrival_ledger import (
    get_arrivals_path,
    hash_groups,
    read_batches,
    record_batch,
)


def _make_entry(batch: str, labels: int = 1) -> dict[str, object]:
    return {"batch": batch, "challenger": "a", "incumbent": "b", "evidence": {"labels": labels}}


def test_batches_are_kept_in_order_and_replaced_when_applied_again(tmp_path: Path) -> None:
    assert read_batches(tmp_path, "run1") == []
    for entry in (_make_entry("one"), _make_entry("two"), _make_entry("one", 9)):
        record_batch(tmp_path, "run1", entry)
    assert read_batches(tmp_path, "run1") == [_make_entry("one", 9), _make_entry("two")]
    assert read_batches(tmp_path, "run2") == []


def test_groups_are_hashed_one_by_one() -> None:
    first, second, again = hash_groups(["gate/1", "gate/2", "gate/1"])
    assert first == again != second
    assert "gate" not in first


@pytest.mark.parametrize("text", ["{", "[]\n", '{"batch": 1}\n'])
def test_a_damaged_ledger_is_one_line(tmp_path: Path, text: str) -> None:
    path = get_arrivals_path(tmp_path, "run1")
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(InputError, match="damaged"):
        read_batches(tmp_path, "run1")
    with pytest.raises(InputError, match="damaged"):
        record_batch(tmp_path, "run1", _make_entry("one"))
