"""Whether further seeds can still show a gain: conditional power after the first ones."""

from __future__ import annotations

import math

from scipy import stats

from pipeline.statistics.paired_comparison import PairedGain


def compute_conditional_power(gain: PairedGain, seed_count: int, alpha: float) -> float:
    """Return the probability that a gain's lower bound is above zero once all seeds are trained.

    The seeds so far are taken for typical ones. The mean of further seeds differs from theirs by
    the variance of either; the variance by group stays as it is, since the images do. A variance of
    so few seeds is uncertain, so that Student's t stands for the normal distribution.

    Source: Lan and Wittes 1988, The B-value: a tool for monitoring data ("current trend").

    Args:
        gain: the gain of the seeds so far.
        seed_count: number of seeds in the end.
        alpha: one-sided level of the bound.

    >>> from pipeline.statistics.paired_comparison import estimate_paired_gain
    >>> import numpy as np
    >>> groups = np.arange(40)
    >>> better, control = np.ones((2, 40)), np.tile(np.arange(40) % 4 > 0, (2, 1))
    >>> compute_conditional_power(estimate_paired_gain(better, control, groups), 5, 0.05)
    1.0
    >>> compute_conditional_power(estimate_paired_gain(control, better, groups), 5, 0.05)
    0.0
    """
    if not (math.isfinite(gain.mean) and math.isfinite(gain.variance)):
        return 0.0
    further = seed_count - gain.seeds
    if further <= 0:
        return float(gain.bound > 0)
    final_error, degrees = gain.foresee_seeds(seed_count)
    needed = float(stats.t.ppf(1 - alpha, degrees)) * final_error
    variance_of_one = gain.training_variance * gain.seeds
    share = further / seed_count
    spread = share * math.sqrt(variance_of_one * (1 / further + 1 / gain.seeds))
    if spread == 0:
        return float(gain.mean > needed)
    return float(stats.t.sf((needed - gain.mean) / spread, max(gain.seed_degrees, 1.0)))
