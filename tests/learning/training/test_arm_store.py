"""Stored trainings of arms: pipeline/learning/training/arm_store.py."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from pipeline.learning.training.arm_store import (
    MAX_STORED_COUNT,
    ArmStore,
    hash_arrays,
    hash_tables,
    hash_training_code,
)

RECORD = {"passes": 3, "loss": 0.5}


@pytest.fixture
def store(tmp_path: Path) -> ArmStore:
    return ArmStore(tmp_path / "arms")


def test_a_stored_training_is_loaded_under_its_key_only(store: ArmStore) -> None:
    trained, fresh = nn.Linear(3, 2), nn.Linear(3, 2)
    store.save_training("key", trained, RECORD)
    assert store.load_training("other", fresh) is None
    assert not torch.equal(fresh.weight, trained.weight)
    assert store.load_training("key", fresh) == RECORD
    assert torch.equal(fresh.weight, trained.weight)


@pytest.mark.parametrize("file", ["weights.safetensors", "record.json"])
@pytest.mark.parametrize("content", [b"", b"{", None])
def test_a_damaged_training_counts_as_none(
    store: ArmStore, file: str, content: bytes | None
) -> None:
    store.save_training("key", nn.Linear(3, 2), RECORD)
    path = store.folder / "key" / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert store.load_training("key", nn.Linear(3, 2)) is None


def test_weights_of_another_network_are_not_loaded(store: ArmStore) -> None:
    store.save_training("key", nn.Linear(3, 2), RECORD)
    assert store.load_training("key", nn.Linear(5, 2)) is None


def test_saving_twice_keeps_one_and_leaves_nothing_behind(store: ArmStore) -> None:
    for _ in range(2):
        store.save_training("key", nn.Linear(3, 2), RECORD)
    assert [path.name for path in store.folder.iterdir()] == ["key"]


def test_those_used_longest_ago_are_dropped(store: ArmStore) -> None:
    for number in range(MAX_STORED_COUNT):
        store.save_training(f"k{number}", nn.Linear(1, 1), RECORD)
        os.utime(store.folder / f"k{number}", (number, number))
    store.load_training("k0", nn.Linear(1, 1))
    store.save_training("new", nn.Linear(1, 1), RECORD)
    names = {path.name for path in store.folder.iterdir()}
    assert len(names) == MAX_STORED_COUNT
    assert {"k0", "new"} <= names
    assert "k1" not in names


def test_hashes_follow_content_and_shape() -> None:
    values = np.arange(6)
    assert hash_arrays([values]) == hash_arrays([values.copy()])
    for other in (values + 1, values.reshape(2, 3), values.astype(np.int32), values[:5]):
        assert hash_arrays([values]) != hash_arrays([other])
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert hash_tables([table]) == hash_tables([table.set_axis([5, 6])])
    assert hash_tables([table]) != hash_tables([table.rename(columns={"a": "c"})])
    assert hash_tables([table]) != hash_tables([table.fillna("y")])
    assert hash_training_code() != hash_training_code(["blur"])
