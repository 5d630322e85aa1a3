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
    build_duplicates_table,
    compute_perceptual_hash,
    find_exact_duplicates,
    find_near_duplicates,
)


def _draw_waves(count: int, side: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    """Return smooth images that differ from each other: uint8 [count, side, side, 3]."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 6, side), np.linspace(0, 6, side))
    images = []
    for _ in range(count):
        a, b, c, d = rng.uniform(-2, 2, 4)
        shape = np.sin(d * x * y / 6)
        channels = [np.sin(a * x + k + np.cos(b * y + c)) + shape for k in range(3)]
        waves = np.stack(channels, axis=2)
        images.append(((waves - waves.min()) / np.ptp(waves) * 255).astype(np.uint8))
    return np.stack(images)


def test_hash_equals_that_of_imagehash() -> None:
    images = _draw_waves(20, side=32)  # neither package resizes images of 32 px
    bits = np.unpackbits(compute_perceptual_hash(images).view(np.uint8).reshape(-1, 8), axis=1)
    expected = np.stack([imagehash.phash(Image.fromarray(i)).hash.ravel() for i in images])
    assert (bits != expected).mean() < 0.01  # gray values are rounded differently


def test_pairs_do_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    images = _draw_waves(40)
    images[30:] = images[:10]
    groups = np.arange(40)
    pairs = find_near_duplicates(images, groups, 4)
    assert pairs.to_numpy().tolist() == [[row, row + 30, 0] for row in range(10)]
    monkeypatch.setattr(near_duplicates, "_MAX_BLOCK_CELLS", 7 * 40)
    pd.testing.assert_frame_equal(find_near_duplicates(images, groups, 4), pairs)


def test_many_images_are_searched_by_bands_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = _draw_waves(600)
    images[500:] = np.clip(images[:100] * 1.05, 0, 255).astype(np.uint8)
    pairs = find_near_duplicates(images, np.arange(600), 4)
    assert len(pairs) >= 80
    monkeypatch.setattr(near_duplicates, "MAX_EXHAUSTIVE_IMAGES", 100)
    pd.testing.assert_frame_equal(find_near_duplicates(images, np.arange(600), 4), pairs)


def test_hashes_that_differ_in_four_bits_are_found_by_one_band_or_another() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 2000, dtype=np.uint64)
    for row in range(1000):
        flipped = np.uint64(0)
        for bit in rng.choice(64, int(rng.integers(5)), replace=False):
            flipped |= np.uint64(1) << np.uint64(bit)
        hashes[1000 + row] = hashes[row] ^ flipped
    blocks = near_duplicates._find_close_hashes_by_band(hashes, np.arange(2000), 4)
    found = [tuple(pair[:2]) for block in blocks for pair in block.tolist()]
    assert sorted(found) == [(row, row + 1000) for row in range(1000)]


def test_two_groups_are_paired_by_their_most_similar_images() -> None:
    images = _draw_waves(6)
    images[3:] = images[:3]
    noise = np.random.default_rng(0).integers(-12, 12, images[3].shape)
    images[3] = np.clip(images[3].astype(int) + noise, 0, 255)
    pairs = find_near_duplicates(images, np.array([0, 0, 0, 1, 1, 1]), 4)
    assert pairs.to_numpy().tolist() == [[1, 4, 0]]


def test_flat_images_and_negatives_are_no_pairs() -> None:
    flat = np.full((4, 64, 64, 3), 30, np.uint8)
    assert find_near_duplicates(flat, np.arange(4), 4).empty
    image = _draw_waves(1)
    assert find_near_duplicates(np.concatenate([image, 255 - image]), np.arange(2), 16).empty


def test_fewer_than_two_images_have_no_pairs() -> None:
    assert find_near_duplicates(np.empty((0, 64, 64, 3), np.uint8), np.arange(0), 4).empty
    assert find_near_duplicates(_draw_waves(1), np.arange(1), 4).empty


def test_exact_copies_are_paired_with_the_first_copy_of_every_label() -> None:
    content = pd.Series(["x", "y", "x", "x", "z", "x", "y"])
    labels = pd.Series(["a", "a", "b", "a", "a", "b", "a"])
    table = find_exact_duplicates(content, labels)
    pairs = set(zip(table["one"], table["other"], strict=True))
    assert pairs == {(0, 2), (0, 3), (0, 5), (2, 3), (2, 5), (1, 6)}
    assert find_exact_duplicates(pd.Series(["x", "y"]), pd.Series(["a", "a"])).empty


def test_exact_pairs_grow_linearly_with_the_copies() -> None:
    content, labels = pd.Series(["x"] * 1000), pd.Series(["a", "b"] * 500)
    assert len(find_exact_duplicates(content, labels)) < 2000


def test_many_similar_images_are_joined_with_few_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "FULL_COMPARISON_LIMIT", 2000)
    images = np.repeat(_draw_waves(3), 400, axis=0)
    pairs = find_near_duplicates(images, np.arange(1200), 4)
    assert pairs.attrs["is_complete"]
    assert len(pairs) < 6000
    components = np.arange(1200)
    for one, other in zip(pairs["one"], pairs["other"], strict=True):
        components[components == components[other]] = components[one]
    sizes = [len(set(components[start : start + 400])) for start in (0, 400, 800)]
    assert sizes == [1, 1, 1]
    assert len(set(components)) == 3


def test_search_ends_after_the_largest_number_of_comparisons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = np.repeat(_draw_waves(3), 40, axis=0)
    monkeypatch.setattr(near_duplicates, "MAX_COMPARISONS", 1000)
    assert not find_near_duplicates(images, np.arange(120), 4).attrs["is_complete"]


def test_progress_is_reported_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "_MAX_BLOCK_CELLS", 7 * 40)
    counts = []

    def track(blocks, total):  # type: ignore[no-untyped-def]
        passed = list(blocks)
        counts.append((len(passed), total))
        return iter(passed)

    find_near_duplicates(_draw_waves(40), np.arange(40), 4, track)
    assert counts == [(6, 6)]


def test_duplicates_table_names_images_labels_and_splits() -> None:
    images = pd.DataFrame({"image_id": ["i0", "i1", "i2"], "label": ["a", "b", "a"]})
    pairs = pd.DataFrame(
        {"one": [0, 0], "other": [1, 2], "kind": ["exact", "near"], "distance": [0, 3]}
    )
    table = build_duplicates_table(images, pairs, pd.Series(["train", "train", "val"]))
    assert table["image_id"].tolist() == ["i0", "i0"]
    assert table["other_id"].tolist() == ["i1", "i2"]
    assert table["same_label"].tolist() == [False, True]
    assert table["across_splits"].tolist() == [False, True]
