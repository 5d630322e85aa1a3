"""Suspected wrong labels: pipeline/learning/inference/suspected_labels.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import StageContext
from pipeline.learning.inference.suspected_labels import find_suspected_labels

COUNT = 240


def _draw_data() -> tuple[pd.DataFrame, pd.DataFrame, NDArray[np.float16], NDArray[np.int64]]:
    """Return images of two well separated classes, the last 40 in test."""
    rng = np.random.default_rng(0)
    labels = np.arange(COUNT) % 2
    layout = rng.normal(0, 0.3, (COUNT, 12))
    layout[:, 0] += 3 * labels
    ids = [f"i{row}" for row in range(COUNT)]
    groups = [f"g{row // 2 // 2}-{row % 2}" for row in range(COUNT)]
    names = np.array(["cat", "dog"])[labels]
    images = pd.DataFrame({"image_id": ids, "label": names, "group": groups})
    split = ["train"] * (COUNT - 40) + ["test"] * 40
    splits = pd.DataFrame({"image_id": ids, "split": split})
    return images, splits, layout.astype(np.float16), labels.astype(np.int64)


def _find(
    images: pd.DataFrame,
    splits: pd.DataFrame,
    layout: NDArray[np.float16],
    labels: NDArray[np.int64],
    max_images: int = 4000,
) -> tuple[pd.DataFrame, list[str]]:
    context = StageContext("run", 0, Path(), Path())
    table = find_suspected_labels(
        images, splits, layout, labels, min_confidence=0.8, max_images=max_images, context=context
    )
    return table, context.notes


def test_swapped_labels_are_suspected_and_test_is_sealed() -> None:
    images, splits, layout, labels = _draw_data()
    for row in (10, 31, COUNT - 5):
        labels[row] = 1 - labels[row]
        images.loc[row, "label"] = ["cat", "dog"][labels[row]]
    layout[COUNT - 40 :] = np.nan
    table, notes = _find(images, splits, layout, labels)
    assert set(table["image_id"]) == {"i10", "i31"}
    expected = {"i10": "cat", "i31": "dog"}
    assert dict(zip(table["image_id"], table["suggested"], strict=True)) == expected
    assert (table["confidence"] > 0.8).all()
    assert notes == []


def test_the_class_names_do_not_shift_if_a_class_has_no_image() -> None:
    images, splits, layout, labels = _draw_data()
    labels[10] = 1
    images.loc[10, "label"] = "dog"
    table, _ = _find(images, splits, layout, labels + 3)
    assert table["suggested"].tolist() == ["cat"]


def test_incomplete_checks_are_noted() -> None:
    images, splits, layout, labels = _draw_data()
    _, notes = _find(images, splits, layout, labels, max_images=100)
    assert notes == ["label heads were trained on about 100 of 200 images, evenly by group"]
    table, notes = _find(images.assign(group="one"), splits, layout, labels)
    assert table.empty
    assert notes == ["too few groups to look for wrong labels"]
