"""What each step of the remedy added on validation, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.statuses import LadderStep
from pipeline.domain.validation_set import ValidationSet
from pipeline.statistics.classification.error_costs import compute_utilities
from pipeline.statistics.paired_comparison import estimate_paired_gain

LADDER_FILE = "ladder.json"
INTERVAL_LEVEL = 0.05
"""Two-sided level of the intervals, which decide nothing."""

Mask = NDArray[np.bool_]
Utilities = NDArray[np.float64]


@dataclass(frozen=True)
class StepOutcome:
    """What the models of one step achieve.

    Attributes:
        step: the step.
        utilities: float64 [models, validation images], each by models that did not train on it.
        share: share of the way from the model before; None where it was not chosen.
    """

    step: LadderStep
    utilities: Utilities
    share: float | None = None


def build_ladder(
    val: ValidationSet, outcomes: Sequence[StepOutcome], is_planned: Mask
) -> list[dict[str, Any]]:
    """Return what each step gains over the model before, and over the step before it.

    Args:
        val: the validation set, with the predictions of the model before.
        outcomes: the steps in order.
        is_planned: images of planned slices, bool [rows].

    Returns:
        Records with `step`, `share`, and by `slices` (planned; every class counts alike) and
        `outside`: n, groups, value (mean utility), gain and added, the last two with intervals.
    """
    before = compute_utilities(val.labels, val.predictions, val.error_costs)[None]
    records = []
    previous = before
    for outcome in outcomes:
        record: dict[str, Any] = {"step": outcome.step, "share": outcome.share}
        for part, inside in (("slices", is_planned), ("outside", ~is_planned)):
            weights = np.ones(val.image_count)
            if part == "slices":
                counts = np.bincount(val.labels[inside], minlength=len(val.class_names))
                weights = 1 / np.maximum(counts, 1)[val.labels]
            record[part] = _compare(val, outcome.utilities, (before, previous), inside, weights)
        records.append(record)
        previous = outcome.utilities
    return records


def _compare(
    val: ValidationSet,
    utilities: Utilities,
    references: tuple[Utilities, Utilities],
    inside: Mask,
    weights: NDArray[np.float64],
) -> dict[str, Any] | None:
    """Return the comparison with the model before and with the previous step; None if empty."""
    if not inside.any():
        return None
    groups = val.groups[inside]
    mean = np.average(utilities[:, inside].mean(axis=0), weights=weights[inside])
    record: dict[str, Any] = {
        "n": int(inside.sum()),
        "groups": len(np.unique(groups)),
        "value": float(mean),
    }
    for key, reference in zip(("gain", "added"), references, strict=True):
        gain = estimate_paired_gain(
            utilities[:, inside], reference[:, inside], groups, INTERVAL_LEVEL, weights[inside]
        )
        record[key] = gain.build_record()
    return record
