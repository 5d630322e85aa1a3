"""Pairs of equal images: pipeline/data/quality/duplicate_pairs.py."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.contracts import iterate_silently
from pipeline.data.quality import near_duplicates
from pipeline.data.quality.duplicate_pairs import find_duplicate_pairs


def _draw_images(count: int) -> NDArray[np.uint8]:
    """Return images with nothing in common."""
    coarse = np.random.default_rng(0).integers(0, 255, (count, 8, 8, 3), dtype=np.uint8)
    enlarged = [cv2.resize(image, (64, 64), interpolation=cv2.INTER_CUBIC) for image in coarse]
    return np.stack(enlarged)


def _make_table(count: int) -> pd.DataFrame:
    rows = [str(row) for row in range(count)]
    return pd.DataFrame({"content_hash": rows, "label": "a", "group": rows})


def _find_pairs(
    images: pd.DataFrame, pixels: NDArray[Any], max_distance: int = 4
) -> tuple[list[tuple[int, int, str]], list[str]]:
    notes: list[str] = []
    table = find_duplicate_pairs(images, pixels, max_distance, iterate_silently, notes.append)
    columns = table[["one", "other", "kind"]]
    return list(columns.itertuples(index=False, name=None)), notes


def test_exact_and_near_duplicates_are_found() -> None:
    images = _make_table(20)
    images.loc[9, "content_hash"] = images.loc[2, "content_hash"]
    pixels = _draw_images(20)
    pixels[9] = pixels[2]
    pixels[15] = np.clip(pixels[3] * 1.1, 0, 255)
    expected = [(2, 9, "exact"), (3, 15, "near")]
    assert _find_pairs(images, pixels) == (expected, [])
    assert _find_pairs(images, pixels, max_distance=-1) == (expected[:1], [])


def test_a_copy_of_a_copy_is_not_listed_again() -> None:
    images = _make_table(20)
    images.loc[9, "content_hash"] = images.loc[2, "content_hash"]
    pixels = _draw_images(20)
    pixels[9] = pixels[2]
    pixels[15] = pixels[2]
    pairs, _ = _find_pairs(images, pixels)
    assert [kind for _, _, kind in pairs] == ["exact", "near"]


def test_a_search_that_was_ended_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "MAX_COMPARISONS", 0)
    pixels = _draw_images(20)
    pixels[3] = pixels[0]
    _, notes = _find_pairs(_make_table(20), pixels)
    assert "the search for near-duplicates was ended" in notes[0]
