"""Strength ranges that training images may get for a slice, and the strengths that are fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.remedies import load_remedy
from pipeline.slices.causes.strength_grid import build_strength_grid, list_possible_strengths


@dataclass(frozen=True)
class StrengthRange:
    """A remedy and a range of its strengths, which names the side of neutral.

    Attributes:
        remedy: name of the plug-in.
        low: lowest strength.
        high: highest strength.
    """

    remedy: str
    low: float
    high: float


def list_strength_ranges(
    explanation: Any, causes: pd.DataFrame, find_renderer: Callable[[str, float, float], str]
) -> list[StrengthRange]:
    """Return the treatments that training images may get for a slice, in order of preference.

    They are its cause and every other named or equivalent cause, each after the remedy that renders
    it realistically.

    Args:
        explanation: row of `explanations`.
        causes: the artifact `causes`.
        find_renderer: (remedy, low, high) to the remedy that renders it.
    """
    is_usable = causes["is_named"] | causes["is_equivalent"]
    known = causes[(causes["slice"] == explanation.slice) & is_usable]
    ranges = [StrengthRange(explanation.cause, explanation.strength_low, explanation.strength_high)]
    for row in known.itertuples():
        if row.remedy != explanation.cause:
            ranges.append(StrengthRange(str(row.remedy), float(row.strength), float(row.strength)))
    preferred: dict[StrengthRange, None] = {}
    for item in ranges:
        renderer = find_renderer(item.remedy, item.low, item.high)
        preferred[StrengthRange(renderer, item.low, item.high)] = None
        preferred[item] = None
    return list(preferred)


def is_ordered(remedy: str) -> bool:
    """Return whether the strengths of a remedy, or of the remedy that it renders, have an order."""
    plugin = load_remedy(remedy)
    rendered = getattr(plugin, "RENDERED_REMEDY", remedy)
    return bool(load_remedy(rendered).IS_ORDERED)


def list_nearby_strengths(strength_range: StrengthRange) -> list[float]:
    """Return the strengths to fit on the range's side of neutral, ascending, with its ends.

    A remedy that renders another one has the strengths of that one.
    """
    remedy, low, high = strength_range.remedy, strength_range.low, strength_range.high
    plugin = load_remedy(remedy)
    rendered = load_remedy(getattr(plugin, "RENDERED_REMEDY", remedy))
    neutral = plugin.NEUTRAL_STRENGTH
    is_below = neutral is not None and high <= neutral
    strengths = set()
    for side in build_strength_grid(tuple(rendered.STRENGTHS), neutral):
        if neutral is None or (side[0] < neutral) == is_below:
            strengths |= {*list_possible_strengths(remedy, side), low, high}
    return sorted(strengths)


def is_multiplicative(remedy: str) -> bool:
    """Return whether strengths of a remedy multiply: neutral is 1."""
    return bool(load_remedy(remedy).NEUTRAL_STRENGTH == 1)


def compute_middle_strength(remedy: str, low: float, high: float) -> float:
    """Return the strength halfway between two; the geometric mean if strengths multiply.

    Args:
        remedy: remedy of the strengths.
        low: lower strength.
        high: higher strength.
    """
    return float(np.sqrt(low * high)) if is_multiplicative(remedy) else (low + high) / 2
