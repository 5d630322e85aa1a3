"""Upper bounds of an error rate whose unit of evidence is the group."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.statistics.group_intervals import encode_groups


def bound_error_rate(losses: NDArray[np.floating], groups: NDArray[Any], level: float) -> float:
    """Return the one-sided upper bound of a mean loss between 0 and 1.

    It is the bound of Clopper and Pearson at an effective sample size, which never exceeds the
    effective number of groups: a group whose images are all wrong may exist although none was seen.

    Source: Korn and Graubard 1998, for shares of clustered samples.

    Args:
        losses: loss of each image, from 0 to 1, [n].
        groups: the group of each image, [n].
        level: probability with which the bound may be too low.

    Returns:
        The bound; 1 without images.

    >>> round(bound_error_rate(np.zeros(300), np.arange(300), 0.05), 4)
    0.0099
    >>> round(bound_error_rate(np.zeros(300), np.arange(300) // 10, 0.05), 3)
    0.095
    """
    if not len(losses):
        return 1.0
    codes, count = encode_groups(groups)
    sizes = np.bincount(codes, minlength=count)
    effective = float(sizes.sum() ** 2 / (sizes**2).sum())
    mean = float(np.mean(losses))
    residuals = np.bincount(codes, losses - mean, minlength=count)
    variance = count / max(count - 1, 1) * float((residuals**2).sum()) / len(losses) ** 2
    if variance > 0:
        effective = min(effective, mean * (1 - mean) / variance)
    wrong = mean * effective
    return float(stats.beta.ppf(1 - level, wrong + 1, max(effective - wrong, 1e-9)))


def count_required_groups(target_error: float, level: float) -> int:
    """Return how many groups without any error hold an error rate below a target.

    >>> count_required_groups(0.02, 0.05)
    149
    """
    return math.ceil(math.log(level) / math.log1p(-target_error))
