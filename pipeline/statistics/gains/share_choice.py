"""The share of the way from one model to another at which every part of the images fares best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.gains.harm_assessment import list_class_subsets

Mask = NDArray[np.bool_]
Utilities = NDArray[np.float64]


def list_judged_parts(labels: NDArray[np.intp], slice_masks: Mapping[str, Mask]) -> list[Mask]:
    """Return the parts that count alike: each class in each slice, and each class outside.

    Args:
        labels: class of each image, [n].
        slice_masks: members of each slice, bool [n].

    Returns:
        Masks bool [n], none of them empty.
    """
    outside = np.ones(len(labels), dtype=np.bool_)
    for mask in slice_masks.values():
        outside &= ~mask
    parts = list_class_subsets(labels, {**slice_masks, "": outside})
    return [part.inside for part in parts]


def score_parts(utilities: Utilities, parts: Sequence[Mask], inside: Mask) -> float:
    """Return the mean over the parts of their mean utility; 0 without any image.

    Args:
        utilities: utility of each prediction, float64 [n].
        parts: bool [n] each.
        inside: the images that count, bool [n].

    >>> utilities = np.array([1.0, 1.0, 1.0, 0.0])
    >>> parts = [np.array([1, 1, 1, 0], bool), np.array([0, 0, 0, 1], bool)]
    >>> score_parts(utilities, parts, np.ones(4, bool))
    0.5
    """
    means = []
    for part in parts:
        chosen = part & inside
        if chosen.any():
            means.append(float(utilities[chosen].mean()))
    return float(np.mean(means)) if means else 0.0


def choose_share(
    utilities: Mapping[float, Utilities], parts: Sequence[Mask], inside: Mask
) -> float:
    """Return the share with the best mean over the parts; of equal ones the smallest.

    Args:
        utilities: by share, the utility of each prediction, float64 [n].
        parts: see `list_judged_parts`.
        inside: the images that may be looked at, bool [n].
    """
    return max(sorted(utilities), key=lambda share: score_parts(utilities[share], parts, inside))
