"""Choice of the simplest candidate that is as good as the best."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.statistics.paired_comparison import estimate_paired_gain

MAX_OVERALL_LOSS = 0.01  # of worth overall, beyond which a candidate is out


def choose_simplest_candidate(
    utilities: NDArray[np.floating[Any]], inside: NDArray[np.bool_], groups: ArrayLike
) -> tuple[int | None, list[dict[str, float]]]:
    """Return the candidate to train in full, and what each candidate gains.

    A candidate is excluded if it loses more than `MAX_OVERALL_LOSS` overall or gains nothing
    inside. Of the others, the first is chosen whose gain is within one standard error, paired and
    by group, of the best one's.

    Source: the one-standard-error rule of Breiman et al. 1984.

    Args:
        utilities: utility of each prediction, float [1 + candidates, n]; first without a candidate,
            then the candidates, simplest first.
        inside: the images that the candidates are meant for, bool [n].
        groups: the group of each image, [n].

    Returns:
        The row of the choice (None if every candidate is excluded), and {gain, overall} of each.
    """
    group = np.asarray(groups)
    more = np.asarray(utilities[1:] - utilities[0], dtype=np.float64)
    gains = more[:, inside].mean(1) if inside.any() else np.zeros(len(more))
    effects = [
        {"gain": float(g), "overall": float(o)} for g, o in zip(gains, more.mean(1), strict=True)
    ]
    eligible = []
    for k, effect in enumerate(effects):
        if effect["gain"] > 0 and effect["overall"] >= -MAX_OVERALL_LOSS:
            eligible.append(k)
    if not eligible:
        return None, effects
    best = max(eligible, key=lambda k: effects[k]["gain"])
    for k in eligible:
        behind = estimate_paired_gain(
            utilities[1 + best][inside], utilities[1 + k][inside], group[inside]
        )
        if k == best or behind.mean <= behind.standard_error:
            return k, effects
    return best, effects
