"""Unlabeled images that look like the failures of a slice: the next ones to label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from pipeline.domain.rules import Mask
from pipeline.domain.validation_set import ValidationSet

Floats = NDArray[np.float32]

NEIGHBOR_COUNT = 3
"""Nearest images on either side whose similarities are averaged: one alone may be a fluke."""
MAX_LOOK_ALIKES = 100
"""Images that are listed for a slice: as many as a person labels in an hour or so."""
LOOK_ALIKE_COLUMNS = ["slice", "path", "score", "predicted", "confidence"]


@dataclass(frozen=True)
class SliceExamples:
    """What the unlabeled images are compared with.

    Attributes:
        failures: frozen features of the misclassified images of a slice, [n, features].
        others: those of images outside the slice, [m, features].
    """

    failures: Floats
    others: Floats

    def score_images(self, features: Floats) -> NDArray[np.float64]:
        """Return how much nearer images are to the failures than to the others, float64 [images].

        It is a difference of two mean cosine similarities to the nearest images, in [-2, 2].

        Args:
            features: frozen features of the images, [images, features].

        >>> axes = np.eye(4, dtype=np.float32)
        >>> examples = SliceExamples(axes[:2], axes[2:])
        >>> examples.score_images(axes).tolist()
        [0.5, 0.5, -0.5, -0.5]
        """
        return _average_nearest(features, self.failures) - _average_nearest(features, self.others)


def select_slice_examples(
    val: ValidationSet, slice_masks: Mapping[str, Mask], embeddings: Floats, is_training: Mask
) -> dict[str, SliceExamples]:
    """Return, for each slice with failures, what unlabeled images are compared with.

    The others are the training and validation images outside the slice.

    Args:
        val: the validation set.
        slice_masks: members of each confirmed slice among all images, bool [images].
        embeddings: frozen features of all images, float32 [images, features]; NaN if unknown.
        is_training: bool [images].
    """
    is_known = np.isfinite(embeddings[:, 0])
    is_failing, is_validation = np.zeros((2, len(is_training)), dtype=np.bool_)
    is_failing[val.image_rows] = val.is_misclassified
    is_validation[val.image_rows] = True
    examples = {}
    for name, is_member in slice_masks.items():
        failing_rows = np.flatnonzero(is_member & is_failing & is_known)
        other_rows = np.flatnonzero((is_training | is_validation) & ~is_member & is_known)
        if len(failing_rows):
            examples[name] = SliceExamples(
                np.asarray(embeddings[failing_rows]), np.asarray(embeddings[other_rows])
            )
    return examples


@dataclass(frozen=True)
class LookAlikes:
    """The result of a search among unlabeled images.

    Attributes:
        table: see `LookAlikeList.build_table`.
        record: `folder`, the numbers of `images`, of those that are `known` to the data set and of
            `rejected` files, and how many are `listed` by slice.
    """

    table: pd.DataFrame
    record: dict[str, Any]


def _average_nearest(features: Floats, references: Floats) -> NDArray[np.float64]:
    """Return the mean cosine similarity to the nearest references; 0 without any."""
    if not len(references) or not len(features):
        return np.zeros(len(features))
    similarities = normalize(features) @ normalize(references).T
    count = min(NEIGHBOR_COUNT, len(references))
    nearest = np.partition(similarities, -count, axis=1)[:, -count:]
    return np.asarray(nearest.mean(axis=1), dtype=np.float64)


@dataclass
class LookAlikeList:
    """The images most like the failures of each slice, gathered chunk by chunk.

    Attributes:
        examples: by slice, what images are compared with.
        tables: by slice, the best images so far.
    """

    examples: Mapping[str, SliceExamples]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def add_images(
        self, paths: list[str], features: Floats, predicted: NDArray[np.str_], confidences: Floats
    ) -> None:
        """Add a chunk of images.

        Args:
            paths: path of each image.
            features: frozen features, [images, features].
            predicted: predicted class of each image.
            confidences: calibrated probability of that class.
        """
        for name, examples in self.examples.items():
            chunk = pd.DataFrame(
                {
                    "slice": name,
                    "path": paths,
                    "score": examples.score_images(features),
                    "predicted": predicted,
                    "confidence": confidences,
                }
            )
            known = [self.tables[name]] if name in self.tables else []
            # Only likenesses count: a positive score is nearer to the failures than to others.
            joined = pd.concat([*known, chunk[chunk["score"] > 0]], ignore_index=True)
            self.tables[name] = joined.nlargest(MAX_LOOK_ALIKES, "score")

    def build_table(self) -> pd.DataFrame:
        """Return all lists as one table with `LOOK_ALIKE_COLUMNS`, the most alike first."""
        tables = [table for table in self.tables.values() if len(table)]
        if not tables:
            return pd.DataFrame(columns=LOOK_ALIKE_COLUMNS)
        return pd.concat(tables, ignore_index=True)[LOOK_ALIKE_COLUMNS]
