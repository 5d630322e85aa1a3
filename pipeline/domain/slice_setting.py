"""When and where the failing images of a slice were taken, where that sets them apart from other images."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from pipeline.domain.rules import Mask, get_period

HOURS_PER_DAY = 24
LEAST_KNOWN_HOURS = 10  # images with a known hour
ARC_SHARE, ARC_CONTRAST = (
    0.9,
    0.6,
)  # share of the failures in the arc, and what others have of it at most
VALUE_SHARE, VALUE_CONTRAST = 0.8, 0.7  # the same for one value of a column
PAIR_SHARE = 2 / 3  # of the failures, from which one pair of classes is reported


@dataclass(frozen=True)
class SettingFact:
    """One fact about when or where the failing images were taken.

    Attributes:
        column: the metadata column.
        start, end: whole hours of an arc on the clock, for the hour.
        value: the value of a text column.
    """

    column: str
    start: int | None = None
    end: int | None = None
    value: str | None = None


def dump_setting(facts: Sequence[SettingFact]) -> str:
    """Return the facts as JSON."""
    return json.dumps([asdict(fact) for fact in facts], ensure_ascii=False)


def parse_setting(text: str) -> list[SettingFact]:
    """Return the facts that `dump_setting` wrote."""
    return [SettingFact(**fact) for fact in json.loads(text)]


def find_hours(values: pd.Series, rest: pd.Series) -> tuple[int, int] | None:
    """Return the shortest arc of whole hours that holds most of `values`, as (start, end).

    None where no arc sets them apart from the rest.
    """
    inside, outside = values.dropna().to_numpy(), rest.dropna().to_numpy()
    if len(inside) < LEAST_KNOWN_HOURS or not len(outside):
        return None
    for length in range(2, 13):
        for start in range(HOURS_PER_DAY):
            share = ((inside - start) % HOURS_PER_DAY < length).mean()
            if share >= ARC_SHARE:
                elsewhere = ((outside - start) % HOURS_PER_DAY < length).mean()
                return (
                    (start, (start + length) % HOURS_PER_DAY)
                    if elsewhere < ARC_CONTRAST * share
                    else None
                )
    return None


def find_setting(failing: pd.DataFrame, outside: pd.DataFrame) -> tuple[list[SettingFact], Mask]:
    """Return what sets the failing images apart, and which of them all of it holds for, bool [failing].

    Args:
        failing: rows of `conditions_frame`, the failing images of a slice.
        outside: rows of the images outside the slice.
    """
    facts, held = list[SettingFact](), np.ones(len(failing), bool)
    for name in failing.columns[3:]:
        column = failing[name]
        if get_period(name) == HOURS_PER_DAY:
            if arc := find_hours(column, outside[name]):
                held &= (
                    (column - arc[0]) % HOURS_PER_DAY < (arc[1] - arc[0]) % HOURS_PER_DAY
                ).to_numpy(dtype=bool)
                facts.append(SettingFact(name, *arc))
        elif not pd.api.types.is_numeric_dtype(column) and column.notna().any():
            counts = column.dropna().astype("str").value_counts(normalize=True)
            top, share = str(counts.index[0]), float(counts.iloc[0])
            elsewhere = float((outside[name].astype("str") == top).mean()) if len(outside) else 0.0
            if share >= VALUE_SHARE and elsewhere < VALUE_CONTRAST * share:
                held &= (column.astype("str") == top).to_numpy(dtype=bool)
                facts.append(SettingFact(name, value=top))
    return facts, held


def find_confused_pair(labels: Sequence[str], predictions: Sequence[str]) -> tuple[str, str] | None:
    """Return the (label, prediction) that makes up `PAIR_SHARE` of the failures, or None."""
    pairs = Counter(zip(labels, predictions, strict=True))
    if not pairs:
        return None
    pair, count = pairs.most_common(1)[0]
    return pair if count >= PAIR_SHARE * len(labels) else None
