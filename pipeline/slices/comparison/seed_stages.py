"""Stages of the arms' training: further seeds only if validation may still pass."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_sample_weight

from pipeline.domain.rules import Mask
from pipeline.domain.validation_set import ValidationSet
from pipeline.statistics.gains.seed_forecast import compute_conditional_power
from pipeline.statistics.paired_comparison import estimate_paired_gain

SEEDS_FILE = "seeds.json"
FIRST_SEED_COUNT = 2
"""Seeds of the first stage: the fewest that show how much seeds differ."""
FUTILE_POWER = 0.1
"""Conditional power below which no further seed is trained; .1 to .2 are usual (Lan and Wittes)."""

FORECAST_LEVEL = 0.05
"""Level of the foreseen bound: the default of `compare.alpha`, which is set after the training."""


def forecast_validation(
    val: ValidationSet,
    planned_members: Iterable[Mask],
    targeted: NDArray[np.float64],
    control: NDArray[np.float64],
    seed_count: int,
) -> float:
    """Return the largest probability that validation passes once all seeds are trained.

    It is the conditional power of the planned slice that is most likely to gain over the control
    arm, each class counted alike. Validation has further conditions, so that it is a bound.

    Args:
        val: the validation set.
        planned_members: images of each planned slice, bool [rows].
        targeted: utility of the targeted arm's predictions, float64 [seeds so far, rows].
        control: that of the control arm's, likewise.
        seed_count: number of seeds in the end.
    """
    powers = [0.0]
    for inside in planned_members:
        if not inside.any():
            continue
        gain = estimate_paired_gain(
            targeted[:, inside],
            control[:, inside],
            val.groups[inside],
            FORECAST_LEVEL,
            compute_sample_weight("balanced", val.labels[inside]),
        )
        powers.append(compute_conditional_power(gain, seed_count, FORECAST_LEVEL))
    return max(powers)
