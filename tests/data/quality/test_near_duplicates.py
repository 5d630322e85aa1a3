"""Exact and near-duplicates: pipeline/data/quality/near_duplicates.py."""

from __future__ import annotations

import imagehash
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.data.quality import near_duplicates
from pipeline.data.quality.near_duplicates import (
    compute_perceptual_hash,
    find_exact_duplicates,
    find_near_duplicates,
)


def _waves(count: int, side: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 6, side), np.linspace(0, 6, side))
    images = []
    for _ in range(count):
        a, b, c, d = rng.uniform(-2, 2, 4)
        shape = np.sin(d * x * y / 6)
        images.append(
            np.stack([np.sin(a * x + k + np.cos(b * y + c)) + shape for k in range(3)], axis=2)
        )
    return np.stack([((p - p.min()) / np.ptp(p) * 255).astype(np.uint8) for p in images])


def test_the_hash_is_that_of_imagehash() -> None:
    images = _waves(20, side=32)  # at 32 px neither resizes
    bits = np.unpackbits(compute_perceptual_hash(images).view(np.uint8).reshape(-1, 8), axis=1)
    theirs = np.stack([imagehash.phash(Image.fromarray(image)).hash.ravel() for image in images])
    assert (bits != theirs).mean() < 0.01  # rounding of gray values alone


def test_pairs_do_not_depend_on_the_size_of_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    images = _waves(40)
    images[30:] = images[:10]
    groups = np.arange(40)
    whole = find_near_duplicates(images, groups, 4)
    assert whole.to_numpy().tolist() == [[row, row + 30, 0] for row in range(10)]
    monkeypatch.setattr(near_duplicates, "_MAX_BLOCK_CELLS", 7 * 40)
    pd.testing.assert_frame_equal(find_near_duplicates(images, groups, 4), whole)


def test_of_two_groups_the_likest_pair() -> None:
    images = _waves(6)
    images[3:] = images[:3]
    images[3] = np.clip(
        images[3].astype(int) + np.random.default_rng(0).integers(-12, 12, images[3].shape), 0, 255
    )
    found = find_near_duplicates(images, np.array([0, 0, 0, 1, 1, 1]), 4)
    assert found.to_numpy().tolist() == [[1, 4, 0]]


def test_flat_images_and_negatives_are_not_alike() -> None:
    flat = np.full((4, 64, 64, 3), 30, np.uint8)
    assert not len(find_near_duplicates(flat, np.arange(4), 4))
    images = _waves(1)
    assert not len(find_near_duplicates(np.concatenate([images, 255 - images]), np.arange(2), 16))


def test_no_images_and_one() -> None:
    assert not len(find_near_duplicates(np.empty((0, 64, 64, 3), np.uint8), np.arange(0), 4))
    assert not len(find_near_duplicates(_waves(1), np.arange(1), 4))


def test_exact_pairs_reach_every_label() -> None:
    content = pd.Series(["x", "y", "x", "x", "z", "x", "y"])
    labels = pd.Series(["a", "a", "b", "a", "a", "b", "a"])
    pairs = {(one, other) for one, other, _ in find_exact_duplicates(content, labels).to_numpy()}
    assert pairs == {(0, 2), (0, 3), (0, 5), (2, 3), (2, 5), (1, 6)}
    assert not len(find_exact_duplicates(pd.Series(["x", "y"]), pd.Series(["a", "a"])))


def test_a_thousand_copies_do_not_make_half_a_million_pairs() -> None:
    content, labels = pd.Series(["x"] * 1000), pd.Series(["a", "b"] * 500)
    assert len(find_exact_duplicates(content, labels)) < 2000


def test_a_thousand_frames_alike_are_tied_without_half_a_million_pairs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(near_duplicates, "FULL_COMPARISON_LIMIT", 2000)
    images = np.repeat(_waves(3), 400, axis=0)
    found = find_near_duplicates(images, np.arange(1200), 4)
    assert found.attrs["whole"]
    assert len(found) < 6000
    tied = np.arange(1200)
    for one, other in zip(found["one"], found["other"], strict=True):
        tied[tied == tied[other]] = tied[one]
    assert [len(set(tied[start : start + 400])) for start in (0, 400, 800)] == [1, 1, 1]
    assert len(set(tied)) == 3
    monkeypatch.setattr(near_duplicates, "MAX_COMPARISONS", 1000)
    assert not find_near_duplicates(images, np.arange(1200), 4).attrs["whole"]
