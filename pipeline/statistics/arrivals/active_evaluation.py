"""Accuracy and gain of models from few labels, drawn where two models disagree.

Where both models agree their gain is zero without a label. Labeled images count by the inverse of
their probability to be drawn (Horvitz and Thompson 1952). For the accuracy of one model the other
images count with their predicted probability, which labeled images correct.

Source: Angelopoulos et al. 2023 (prediction-powered inference); Zrnic and Candès 2024 (active
statistical inference).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.group_intervals import ConfidenceInterval, estimate_cluster_mean

Floats = NDArray[np.float64]
INSIDE_SHARE = 0.6
"""Share of the labels for disagreements inside the planned slices: the gain is claimed there."""
OUTSIDE_SHARE = 0.2
"""Share for disagreements outside; the rest goes to images on which both models agree."""


@dataclass(frozen=True)
class LabelDraw:
    """Images to label.

    Attributes:
        is_drawn: whether an image is to be labeled, bool [n].
        probability: probability with which it was to be drawn, float64 [n].
    """

    is_drawn: NDArray[np.bool_]
    probability: Floats


def draw_labels(
    is_disagreement: NDArray[np.bool_], is_inside: NDArray[np.bool_], count: int, seed: int
) -> LabelDraw:
    """Return `count` images to label, most of them disagreements inside the planned slices.

    Each stratum is a simple random sample. What a stratum cannot use goes to the others in turn.

    Args:
        is_disagreement: whether both models predict different classes, bool [n].
        is_inside: whether a planned slice admits the image, bool [n].
        count: number of labels.
        seed: seed of the draw.
    """
    strata = [is_disagreement & is_inside, is_disagreement & ~is_inside, ~is_disagreement]
    sizes = [int(stratum.sum()) for stratum in strata]
    counts = _allocate_labels(sizes, count)
    rng = np.random.default_rng(seed)
    is_drawn = np.zeros(len(is_inside), bool)
    probability = np.zeros(len(is_inside))
    for stratum, size, drawn in zip(strata, sizes, counts, strict=True):
        if drawn:
            rows = np.flatnonzero(stratum)
            is_drawn[rng.choice(rows, drawn, replace=False)] = True
            probability[rows] = drawn / size
    return LabelDraw(is_drawn, probability)


def _allocate_labels(sizes: list[int], count: int) -> list[int]:
    """Return labels of each stratum: by share, and the rest in the order of the strata."""
    shares = (INSIDE_SHARE, OUTSIDE_SHARE, 1 - INSIDE_SHARE - OUTSIDE_SHARE)
    counts = [min(size, int(share * count)) for size, share in zip(sizes, shares, strict=True)]
    for index, size in enumerate(sizes):
        counts[index] = min(size, counts[index] + count - sum(counts))
    return counts


@dataclass(frozen=True)
class LabeledTraffic:
    """Arriving images, some of them labeled.

    Attributes:
        groups: the group of each image, [n].
        probability: probability with which its label was drawn; 0 if it could not be drawn, [n].
        is_labeled: whether its label came back, bool [n].
    """

    groups: NDArray[Any]
    probability: Floats
    is_labeled: NDArray[np.bool_]

    def weigh(self, values: Floats) -> Floats:
        """Return values of labeled images by inverse probability, 0 elsewhere, float64 [n]."""
        weighted = np.zeros(len(values))
        labeled = self.is_labeled
        weighted[labeled] = values[labeled] / self.probability[labeled]
        return weighted


def estimate_labeled_gain(
    traffic: LabeledTraffic,
    gains: Floats,
    is_disagreement: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    alpha: float = 0.05,
) -> ConfidenceInterval:
    """Return the gain in accuracy of one model over another on a part of the traffic.

    Args:
        traffic: the images and their labels.
        gains: correct of the one less correct of the other, -1, 0 or 1; labeled images count.
        is_disagreement: whether both predict different classes, bool [n].
        inside: the part, bool [n].
        alpha: level of the interval, two-sided, by group.
    """
    values = np.where(is_disagreement, traffic.weigh(gains), 0.0)
    return estimate_cluster_mean(values[inside], traffic.groups[inside], alpha)


def estimate_labeled_accuracy(
    traffic: LabeledTraffic, correct: Floats, confidence: Floats, alpha: float = 0.05
) -> ConfidenceInterval:
    """Return a model's accuracy on the traffic by prediction-powered inference.

    Args:
        traffic: the images and their labels; every stratum holds labels.
        correct: whether the prediction is correct; labeled images count, [n].
        confidence: calibrated probability of the predicted class, [n].
        alpha: level of the interval, two-sided, by group.
    """
    values = confidence + traffic.weigh(correct - confidence)
    return estimate_cluster_mean(values, traffic.groups, alpha)
