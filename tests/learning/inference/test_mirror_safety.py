"""Whether training images may be mirrored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.contracts import StageContext
from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.inference.mirror_safety import (
    check_mirroring,
    judge_mirroring,
    resolve_augmentation,
)
from pipeline.learning.training_settings import AugmentationSettings


def _draw_marked_images(are_marks_sided: bool) -> tuple[TrainingImages, NDArray[np.str_]]:
    """Return gray images of two classes: marks left or right, or marks above or below."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(90, 110, (120, 64, 64, 3), dtype=np.uint8)
    labels = np.arange(120) % 2
    for image, label in zip(pixels, labels, strict=True):
        near = 8 if label else 40
        across = int(rng.integers(8, 40))
        row, column = (across, near) if are_marks_sided else (near, across)
        image[row : row + 16, column : column + 16] = 230
    groups = np.array([f"g{n // 4}" for n in range(120)])
    return TrainingImages(pixels, np.arange(120), labels), groups


@pytest.mark.parametrize("are_marks_sided", [True, False])
def test_images_whose_side_is_their_label_are_not_mirrored(
    are_marks_sided: bool, tmp_path: Path
) -> None:
    images, groups = _draw_marked_images(are_marks_sided)
    check = check_mirroring(images, groups, seed=0)
    assert check.accuracy is not None
    assert check.accuracy > 0.8, "the check can tell the classes apart"
    assert check.is_safe is not are_marks_sided
    context = StageContext("run", 0, tmp_path, tmp_path)
    resolved = resolve_augmentation(AugmentationSettings(), images, groups, context)
    assert resolved["flip"] is not are_marks_sided
    assert bool(context.notes) is are_marks_sided
    given = resolve_augmentation(AugmentationSettings(flip=True), images, groups, context)
    assert given["flip"] is True


def test_one_swapped_class_among_many_is_found() -> None:
    labels = np.repeat(np.arange(20), 20)
    mirrored_labels = labels.copy()
    mirrored_labels[:10] = 1
    assert not judge_mirroring(labels, labels, mirrored_labels).is_safe
    mirrored_labels[:10] = np.arange(2, 12)
    assert judge_mirroring(labels, labels, mirrored_labels).is_safe, "scattered errors are few"


def test_too_few_groups_are_not_mirrored() -> None:
    images, groups = _draw_marked_images(False)
    assert not check_mirroring(images, np.full(len(groups), "one"), seed=0).is_safe
