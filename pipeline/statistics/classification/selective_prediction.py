"""Selective prediction: answer only if the model is confident and the image is bright enough.

The error among answered images is held by a bound. Thresholds are tested in a fixed order from
strict to loose, and the last one before the first failure is taken.

Source: Angelopoulos et al. 2021 (learn then test, fixed sequence testing); Geifman and El-Yaniv
2017 (selective classification).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.classification.error_bound import bound_error_rate, count_required_groups
from pipeline.statistics.group_intervals import estimate_cluster_mean, sanitize_float

LUMINANCE_QUANTILES = (0.05, 0.1, 0.2, 0.35, 0.5)
"""Luminance thresholds tried, as quantiles. Few, as they share half of the level."""
MIN_COVERAGE_GAIN = 0.01
"""Coverage that a luminance threshold must add, so that noise does not add one."""
COVERAGE_STEPS = 40
"""Confidence thresholds tried: a step of 2.5 % of the images."""
FIRST_GROUPS_FACTOR = 1.5
"""The strictest threshold answers 1.5 times the groups that could hold the target without error."""
DEFAULT_LEVEL = 0.05
Floats = NDArray[np.float64]


class DeclineStatus(StrEnum):
    """The evidence on a decline rule."""

    HELD = "held"
    """Its error is below the target with a bound by group, and the test set does not contradict."""
    LEFT_OUT = "left_out"
    """No threshold has a bound, or the test set contradicts: every image is answered."""
    OUT_OF_REACH = "out_of_reach"
    """The error exceeds the target at every threshold: every image is declined."""


@dataclass(frozen=True)
class AnsweredImages:
    """Predictions that a decline rule may answer.

    Attributes:
        losses: 1 less the utility of each prediction, from 0 to 1, [n].
        confidence: [n].
        groups: the group of each image, [n].
    """

    losses: Floats
    confidence: Floats
    groups: NDArray[Any]

    def select(self, inside: NDArray[np.bool_]) -> AnsweredImages:
        """Return a part of the images."""
        return AnsweredImages(self.losses[inside], self.confidence[inside], self.groups[inside])


def choose_decline_rule(
    images: AnsweredImages,
    target_error: float,
    luminance: Floats | None = None,
    level: float = DEFAULT_LEVEL,
) -> dict[str, Any]:
    """Return the decline rule of the highest coverage whose error is below a target.

    The rule requires a minimum confidence. It also requires a minimum luminance if that raises the
    coverage by at least `MIN_COVERAGE_GAIN`. Its error exceeds the target with a probability of at
    most `level` over draws of groups.

    Args:
        images: the predictions on validation.
        target_error: highest error among answered images.
        luminance: mean luminance of each image, [n], NaN if unknown; None if not measured.
        level: probability with which the error may exceed the target.

    Returns:
        `status`, `threshold` (0 answers all, None declines all), `light`, `target_error`, `level`,
        `error` and `coverage` on validation, `bound` of the error, and `groups_needed` to hold the
        target if no image answered is wrong.
    """
    if luminance is None or not len(luminance) or np.isnan(luminance).all():
        return _finish_rule(
            images, target_error, level, [_test_thresholds(images, target_error, level)]
        )
    limits = np.unique(np.nanquantile(luminance, LUMINANCE_QUANTILES, method="higher"))
    rules = [_test_thresholds(images, target_error, level / 2)]
    for limit in limits.tolist():
        bright = ~(luminance < limit)
        rule = _test_thresholds(images.select(bright), target_error, level / 2 / len(limits))
        rules.append({**rule, "light": limit, "coverage": rule["coverage"] * float(bright.mean())})
    return _finish_rule(images, target_error, level, rules)


def _test_thresholds(images: AnsweredImages, target_error: float, level: float) -> dict[str, Any]:
    """Return the loosest threshold that is reached in a fixed sequence of tests."""
    rule: dict[str, Any] = {"threshold": None, "light": None, "error": None, "bound": None}
    rule["coverage"] = 0.0
    order = np.argsort(-images.confidence, kind="stable")
    for answered in _list_answered_counts(
        images, order, count_required_groups(target_error, level)
    ):
        threshold = float(images.confidence[order[answered - 1]])
        is_answered = images.confidence >= threshold  # images of one confidence are together
        part = images.select(is_answered)
        bound = bound_error_rate(part.losses, part.groups, level)
        if bound > target_error:
            break
        rule |= {"threshold": threshold, "bound": bound, "error": float(part.losses.mean())}
        rule["coverage"] = float(is_answered.mean())
    return rule


def _list_answered_counts(
    images: AnsweredImages, order: NDArray[np.intp], required_groups: int
) -> list[int]:
    """Return the numbers of images that are answered in turn, which depend on no label.

    The first one answers enough groups to hold the target even if a few of them are wrong.
    """
    count = len(order)
    total = len(np.unique(images.groups))
    if total < required_groups:
        return []
    first_groups = min(FIRST_GROUPS_FACTOR * required_groups, (required_groups + total) / 2)
    counts = []
    for step in range(1, COVERAGE_STEPS + 1):
        answered = -(-count * step // COVERAGE_STEPS)
        if len(np.unique(images.groups[order[:answered]])) >= first_groups:
            counts.append(answered)
    return counts


def _finish_rule(
    images: AnsweredImages, target_error: float, level: float, rules: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the best of the rules with its status: the first one unless another gains coverage."""
    best = max(rules, key=lambda rule: (rule["coverage"], -(rule["light"] or 0.0)))
    chosen = best if best["coverage"] >= rules[0]["coverage"] + MIN_COVERAGE_GAIN else rules[0]
    record = {
        "attribute": "confidence",
        **chosen,
        "status": DeclineStatus.HELD,
        "target_error": target_error,
        "level": level,
        "n": len(images.confidence),
        "groups": len(np.unique(images.groups)),
        "groups_needed": count_required_groups(target_error, level),
        "chosen_on": "val",
    }
    if chosen["threshold"] is not None:
        return record
    order = np.argsort(-images.confidence, kind="stable")
    errors = np.cumsum(images.losses[order]) / np.arange(1, len(order) + 1)
    if len(errors) and errors.min() > target_error:
        return {**record, "status": DeclineStatus.OUT_OF_REACH}
    return leave_out_rule(record, images.losses)


def leave_out_rule(rule: Mapping[str, Any], losses: Floats) -> dict[str, Any]:
    """Return a rule that answers every image in place of one that does not hold its target.

    Args:
        rule: the rule.
        losses: losses of all validation images.
    """
    return {
        **rule,
        "status": DeclineStatus.LEFT_OUT,
        "threshold": 0.0,
        "light": None,
        "bound": None,
        "coverage": 1.0 if len(losses) else 0.0,
        "error": sanitize_float(float(np.mean(losses)) if len(losses) else None),
    }


def apply_decline_rule(
    rule: Mapping[str, Any], confidence: NDArray[np.floating[Any]], luminance: Floats | None
) -> NDArray[np.bool_]:
    """Return which images a rule answers, bool [n].

    A threshold of None answers none. An image of unknown luminance needs the confidence alone.
    """
    if rule["threshold"] is None:
        return np.zeros(len(confidence), dtype=np.bool_)
    is_confident = confidence >= rule["threshold"]
    least = rule.get("light")
    return np.asarray(
        is_confident if least is None or luminance is None else is_confident & ~(luminance < least),
        dtype=np.bool_,
    )


def evaluate_coverage(
    utilities: NDArray[Any], groups: NDArray[Any], is_answered: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return coverage and error of a rule that was chosen on other images.

    Args:
        utilities: correctness or utility of each prediction, [n].
        groups: the group of each image, [n].
        is_answered: the images that the rule answers, bool [n].
    """
    error = (
        estimate_cluster_mean(1.0 - utilities[is_answered], groups[is_answered])
        if is_answered.any()
        else None
    )
    return {
        "n": len(utilities),
        "coverage": float(is_answered.mean()) if len(is_answered) else 0.0,
        "error": error.build_record() if error else None,
    }
