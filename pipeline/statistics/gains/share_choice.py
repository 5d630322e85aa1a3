"""The share of the way from one model to another at which every part of the images fares best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.gains.harm_assessment import list_class_subsets
from pipeline.statistics.paired_comparison import estimate_paired_gain

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
    utilities: Mapping[float, Utilities], parts: Sequence[Mask], inside: Mask, groups: NDArray[Any]
) -> float:
    """Return the smallest share that is as good as the best, so that no image changes for nothing.

    A share is as good if its mean over the parts is within one standard error, paired and by group,
    of the best one.

    Source: the one-standard-error rule of Breiman et al. 1984.

    Args:
        utilities: by share, the utility of each prediction, float64 [n].
        parts: see `list_judged_parts`.
        inside: the images that may be looked at, bool [n].
        groups: the group of each image, [n].
    """
    best = max(sorted(utilities), key=lambda share: score_parts(utilities[share], parts, inside))
    weights = _weigh_images(parts, inside)
    for share in sorted(utilities):
        behind = estimate_paired_gain(
            utilities[best][inside], utilities[share][inside], groups[inside], weights=weights
        )
        if share == best or behind.mean <= behind.standard_error:
            return share
    return best


def _weigh_images(parts: Sequence[Mask], inside: Mask) -> Utilities:
    """Return weights float64 [images inside] under which every part counts alike."""
    weights = np.zeros(int(inside.sum()))
    for part in parts:
        chosen = part[inside]
        weights += chosen / max(int(chosen.sum()), 1)
    return weights
