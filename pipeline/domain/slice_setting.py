"""The setting of a slice: when and where its failing images were taken, if others were not.

It is no setting of a config.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from pipeline.domain.attribute_values import get_period
from pipeline.domain.rules import Mask

HOURS_PER_DAY = 24


@dataclass(frozen=True)
class SettingThresholds:
    """Hand-set constants: a fact is reported if it holds for most failures and rarely elsewhere."""

    # Failing images with a known hour: fewer span no arc that means anything.
    min_known_hours: int = 10
    # Hours of the shortest and of the longest arc that is reported; half a day describes nothing.
    min_arc_hours: int = 2
    max_arc_hours: int = 12
    # Share of the failing images within the arc; the rest may be stray clocks.
    min_arc_share: float = 0.9
    # Share of the other images within the arc, relative to the former, below which it is reported.
    max_arc_contrast: float = 0.6
    # Likewise for one value of a text column, which is a coarser fact: the least share of the
    # failing images with it, and the share of the others, relative to that, below which it counts.
    min_value_share: float = 0.8
    max_value_contrast: float = 0.7
    # Share of the failures of one (label, prediction) from which that pair is reported: twice as
    # many as all others together.
    min_pair_share: float = 2 / 3


THRESHOLDS = SettingThresholds()


@dataclass(frozen=True)
class SettingFact:
    """One fact about when or where the failing images were taken.

    Attributes:
        column: the metadata column.
        start: first hour of an arc on the clock; None for a text column.
        end: hour at which the arc ends; it is not part of it.
        value: value of a text column; None for an arc.
    """

    column: str
    start: int | None = None
    end: int | None = None
    value: str | None = None


def dump_setting(facts: Sequence[SettingFact]) -> str:
    """Return the facts as JSON, see `parse_setting`."""
    return json.dumps([asdict(fact) for fact in facts], ensure_ascii=False)


def parse_setting(text: str) -> list[SettingFact]:
    """Return the facts that `dump_setting` wrote."""
    return [SettingFact(**fact) for fact in json.loads(text)]


def _is_in_arc(hours: pd.Series, start: int, length: int) -> Mask:
    """Return whether each hour is within the arc; unknown ones are not."""
    return ((hours - start) % HOURS_PER_DAY < length).to_numpy(dtype=bool)


def find_hours(failing_hours: pd.Series, other_hours: pd.Series) -> tuple[int, int] | None:
    """Return the shortest arc of whole hours with most of the failing images, as (start, end).

    None if no arc holds them, or if the other images are about as common in it.

    Args:
        failing_hours: hour of each failing image, 0 to 24; NaN if unknown.
        other_hours: hour of each other image.
    """
    inside, outside = failing_hours.dropna(), other_hours.dropna()
    if len(inside) < THRESHOLDS.min_known_hours or not len(outside):
        return None
    for length in range(THRESHOLDS.min_arc_hours, THRESHOLDS.max_arc_hours + 1):
        for start in range(HOURS_PER_DAY):
            share = _is_in_arc(inside, start, length).mean()
            if share < THRESHOLDS.min_arc_share:
                continue
            other_share = _is_in_arc(outside, start, length).mean()
            if other_share < THRESHOLDS.max_arc_contrast * share:
                return start, (start + length) % HOURS_PER_DAY
            return None
    return None


def _find_value(failing_values: pd.Series, other_values: pd.Series) -> str | None:
    """Return the most frequent text among the failing images, if it is rarer elsewhere."""
    shares = failing_values.dropna().astype("str").value_counts(normalize=True)
    value, share = str(shares.index[0]), float(shares.iloc[0])
    other_share = float((other_values.astype("str") == value).mean()) if len(other_values) else 0.0
    is_reported = (
        share >= THRESHOLDS.min_value_share and other_share < THRESHOLDS.max_value_contrast * share
    )
    return value if is_reported else None


def find_setting(failing: pd.DataFrame, outside: pd.DataFrame) -> tuple[list[SettingFact], Mask]:
    """Return the facts that distinguish the failing images of a slice.

    Args:
        failing: rows of `build_condition_frame`, the failing images of the slice.
        outside: such rows of the images outside the slice.

    Returns:
        The facts, and bool [failing]: whether all of them hold for the image.
    """
    facts: list[SettingFact] = []
    has_all_facts = np.ones(len(failing), bool)
    for name in failing.columns[3:]:
        column = failing[name]
        if get_period(name) == HOURS_PER_DAY:
            arc = find_hours(column, outside[name])
            if arc:
                start, end = arc
                has_all_facts &= _is_in_arc(column, start, (end - start) % HOURS_PER_DAY)
                facts.append(SettingFact(name, start, end))
        elif not pd.api.types.is_numeric_dtype(column) and column.notna().any():
            value = _find_value(column, outside[name])
            if value is not None:
                has_all_facts &= (column.astype("str") == value).to_numpy(dtype=bool)
                facts.append(SettingFact(name, value=value))
    return facts, has_all_facts


def find_confused_pair(labels: Sequence[str], predictions: Sequence[str]) -> tuple[str, str] | None:
    """Return the (label, prediction) of most failures, or None if no pair is that frequent.

    Args:
        labels: label of each failing image.
        predictions: prediction for each failing image.
    """
    pairs = Counter(zip(labels, predictions, strict=True))
    if not pairs:
        return None
    pair, count = pairs.most_common(1)[0]
    return pair if count >= THRESHOLDS.min_pair_share * len(labels) else None
