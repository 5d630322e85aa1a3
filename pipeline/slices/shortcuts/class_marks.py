"""The mark of a class: pixels outside the center that most of its training images share.

A mark is read by pixels only. Whether an image bears it is a frozen function of the image, so that
a slice may be defined by it: the images of a class without the mark that the model relies on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import MARK_PREFIX, Condition, Rule
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.slices.shortcuts.mark_masks import Mask, Pixels, find_shared_pixels
from pipeline.slices.shortcuts.shortcut_images import ShortcutImages


@dataclass(frozen=True)
class ClassMark:
    """The mark of a class.

    Attributes:
        mask: pixels of the mark, bool [side, side].
        pixels: median image of the class, uint8 [side, side, 3].
    """

    mask: Mask
    pixels: Pixels

    def is_borne_by(self, images: Pixels) -> NDArray[np.bool_]:
        """Return whether images match most of the mark, bool [n].

        Args:
            images: uint8 [n, side, side, 3].
        """
        observed = images[:, self.mask].astype(np.int16)
        difference = np.abs(observed - self.pixels[self.mask].astype(np.int16))
        is_matching = (difference <= CONSTANTS.shortcuts.other_gray_distance).all(axis=-1)
        share = is_matching.mean(axis=-1)
        return np.asarray(share > CONSTANTS.shortcuts.min_matching_share)


def find_class_mark(images: ShortcutImages, class_index: int, seed: int) -> ClassMark | None:
    """Return the mark that images of a class share and other classes do not.

    Args:
        images: training images.
        class_index: the class.
        seed: seed of the sample of images.

    Returns:
        None without a mark, or with too few groups on either side.
    """
    rng = np.random.default_rng([seed, class_index])
    is_class = images.labels == class_index
    limit = CONSTANTS.shortcuts.max_mark_images
    own = images.sample_distinct_groups(np.flatnonzero(is_class), limit, rng)
    other = images.sample_distinct_groups(np.flatnonzero(~is_class), limit, rng)
    if min(len(own), len(other)) < CONSTANTS.shortcuts.min_groups:
        return None
    class_images = images.get_images(own)
    mask = find_shared_pixels(class_images, images.get_images(other))
    if not mask.any():
        return None
    return ClassMark(mask, np.median(class_images, axis=0).astype(np.uint8))


def build_mark_table(
    images: ShortcutImages,
    class_names: list[str],
    labels: Iterable[str],
    image_ids: pd.Series[str],
    seed: int,
) -> pd.DataFrame:
    """Return the artifact `marks`: whether each image bears the mark of each class.

    Args:
        images: training images; their field `pixels` holds all images.
        class_names: names of the classes by index.
        labels: classes whose marks are read.
        image_ids: ids of all images, in the order of `pixels`.
        seed: seed of the samples of images.

    Returns:
        `image_id` and a bool column `mark of <label>` for each class with a mark.
    """
    marks: dict[str, ClassMark] = {}
    for label in labels:
        mark = find_class_mark(images, class_names.index(label), seed)
        if mark is not None:
            marks[MARK_PREFIX + label] = mark
    columns = {name: np.zeros(len(image_ids), bool) for name in marks}
    chunk_size = CONSTANTS.shortcuts.chunk_images
    for start in range(0, len(image_ids) if marks else 0, chunk_size):
        chunk = slice(start, start + chunk_size)
        pixels = np.asarray(images.pixels[chunk])
        for name, mark in marks.items():
            columns[name][chunk] = mark.is_borne_by(pixels)
    return pd.DataFrame({"image_id": image_ids.to_numpy(), **columns})


def list_unmarked_rules(columns: Iterable[str]) -> list[Rule]:
    """Return a rule for each class with a mark: its images without the mark.

    Args:
        columns: columns that a rule may test.
    """
    rules = []
    for column in columns:
        if column.startswith(MARK_PREFIX):
            condition = Condition(column, "is", "False")
            rules.append(Rule((condition,), column.removeprefix(MARK_PREFIX), "mark"))
    return rules
