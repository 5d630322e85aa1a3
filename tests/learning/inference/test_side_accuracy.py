"""What a smaller side costs in accuracy."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline.data.reading.image_decoding import letterbox_image
from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.inference.side_accuracy import compare_sides, find_larger_side
from pipeline.report.sentences.training_sentences import describe_side_comparison

IMAGE_COUNT = 48
SIDE = 32


def _write_gratings(folder: Path) -> tuple[pd.DataFrame, TrainingImages]:
    """Write images of 160 px with fine lines, lying or standing, which 32 px cannot show."""
    rng = np.random.default_rng(0)
    sources, labels = [], np.arange(IMAGE_COUNT) % 2
    pixels = np.zeros((IMAGE_COUNT, SIDE, SIDE, 3), np.uint8)
    for number, label in enumerate(labels.tolist()):
        image = np.full((160, 160, 3), 90, np.uint8)
        for start in range(int(rng.integers(5)), 160, 5):
            image[start : start + 2] = 170
        image = np.ascontiguousarray(image.swapaxes(0, 1)) if label else image
        file = folder / f"{number}.png"
        cv2.imwrite(str(file), image)
        sources.append(str(file))
        pixels[number] = letterbox_image(image, SIDE)
    table = pd.DataFrame({"source": sources, "width": 160, "height": 160})
    return table, TrainingImages(pixels, np.arange(IMAGE_COUNT), labels)


def test_details_that_a_small_side_loses_cost_accuracy(tmp_path: Path) -> None:
    table, images = _write_gratings(tmp_path)
    groups = np.array([f"g{number // 2}" for number in range(IMAGE_COUNT)])
    comparison = compare_sides(table, images, groups, seed=0)
    assert comparison is not None
    assert (comparison.side, comparison.larger_side) == (SIDE, 160)
    assert comparison.larger_accuracy > 0.95 > 0.8 > comparison.accuracy
    assert comparison.lost.value == pytest.approx(comparison.larger_accuracy - comparison.accuracy)
    assert 0 < comparison.lost.low <= comparison.lost.value
    assert comparison.lost.groups == IMAGE_COUNT // 2
    assert "160 px" in describe_side_comparison(comparison)


def test_images_that_are_gone_leave_nothing_to_compare(tmp_path: Path) -> None:
    table, images = _write_gratings(tmp_path)
    for source in table["source"][::2]:
        Path(source).unlink()
    groups = np.arange(IMAGE_COUNT).astype(str)
    assert compare_sides(table, images, groups, seed=0) is None, "24 images of one class are left"


def test_a_single_group_leaves_nothing_to_fit_on(tmp_path: Path) -> None:
    table, images = _write_gratings(tmp_path)
    assert compare_sides(table, images, np.full(IMAGE_COUNT, "g"), seed=0) is None


def test_images_at_addresses_are_not_fetched_again(tmp_path: Path) -> None:
    table, images = _write_gratings(tmp_path)
    table["source"] = "https://127.0.0.1:9/" + table.index.astype(str) + ".png"
    assert compare_sides(table, images, np.arange(IMAGE_COUNT).astype(str), seed=0) is None


def test_a_hardly_larger_side_is_none() -> None:
    table = pd.DataFrame({"width": [100, 300, 30], "height": [80, 400, 30]})
    assert find_larger_side(table, 64) == 96
    assert find_larger_side(table, 96) is None
    assert find_larger_side(table.iloc[:0], 64) is None
    assert find_larger_side(table.iloc[2:], 28) is None, "images of 30 px are not enlarged"
