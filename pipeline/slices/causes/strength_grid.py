"""The strengths of a remedy at which a cause is matched, on either side of neutral."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pipeline.remedies import load_remedy
from pipeline.slices.finder_constants import CONSTANTS


def build_strength_grid(strengths: tuple[float, ...], neutral: float | None) -> list[list[float]]:
    """Return the strengths to match with, one list for each side of neutral, mildest first.

    Each list holds the plug-in's own strengths, the midpoints between them and neutral, and
    `CauseConstants.extra_strength_count` stronger ones.

    Args:
        strengths: the strengths that the plug-in declares.
        neutral: the strength that changes nothing; None if the strengths have no order.

    Returns:
        One list of one strength each if `neutral` is None.
    """
    if neutral is None:
        return [[strength] for strength in strengths]
    ordered = sorted(strengths)
    below = [strength for strength in ordered if strength < neutral]
    above = [strength for strength in reversed(ordered) if strength > neutral]
    return [_complete_side(side, neutral) for side in (below, above) if side]


def _complete_side(side: list[float], neutral: float) -> list[float]:
    """Return the strengths of one side, given strongest first, with midpoints and stronger ones."""
    complete = {*side, *_extend_strengths(side[0], neutral)}
    for stronger, milder in pairwise([*side, neutral]):
        complete.add(float(np.mean((stronger, milder))))
    return sorted(complete, key=lambda strength: abs(strength - neutral))


def _extend_strengths(extreme: float, neutral: float) -> list[float]:
    """Return strengths beyond the most extreme one.

    They are powers of it if strengths multiply (neutral is 1), halves on the way down to 0, and
    growing steps away from neutral otherwise.
    """
    exponent = CONSTANTS.causes.extension_exponent
    extended = []
    for k in range(1, CONSTANTS.causes.extra_strength_count + 1):
        if neutral == 1:
            extended.append(float(extreme ** (exponent**k)))
        elif 0 < extreme < neutral:
            extended.append(float(extreme / 2**k))
        else:
            extended.append(float(neutral + (extreme - neutral) * exponent**k))
    return extended


def list_midpoints(strengths: list[float], strength: float) -> list[float]:
    """Return the midpoints between a strength and its neighbors in `strengths`.

    They are geometric means if all strengths are positive.
    """
    ordered = sorted(strengths)
    position = ordered.index(strength)
    is_geometric = ordered[0] > 0
    midpoints = []
    for low, high in pairwise(ordered[max(0, position - 1) : position + 2]):
        midpoints.append(float(np.sqrt(low * high) if is_geometric else (low + high) / 2))
    return midpoints


def is_possible_strength(remedy: str, strength: float) -> bool:
    """Return whether the remedy can be built at that strength."""
    try:
        load_remedy(remedy).build_transform(strength, strength)
    except ValueError:
        return False
    return True


def list_possible_strengths(remedy: str, strengths: list[float]) -> list[float]:
    """Return the strengths of one side at which the remedy can be built, in their order.

    If an ordered remedy ends before the last strength, its end is bracketed by bisection and the
    possible midpoints are added: a share of fog ends below 1.
    """
    possible = [strength for strength in strengths if is_possible_strength(remedy, strength)]
    is_complete = len(possible) == len(strengths)
    if not possible or is_complete or not load_remedy(remedy).IS_ORDERED:
        return possible
    last, impossible = possible[-1], strengths[len(possible)]
    for _ in range(CONSTANTS.causes.refinement_rounds):
        middle = (last + impossible) / 2
        if is_possible_strength(remedy, middle):
            possible.append(middle)
            last = middle
        else:
            impossible = middle
    return possible
