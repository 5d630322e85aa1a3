"""The conditions that rules of the family are built from. No outcome is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.attribute_values import get_period
from pipeline.domain.rule_columns import MAX_COLUMN_LEVELS
from pipeline.domain.rules import Condition, Mask
from pipeline.domain.text_prefixes import list_value_prefixes
from pipeline.slices.finder_constants import CONSTANTS

HOURS_PER_CIRCLE = 24
EXACT_OPERATORS = ("is", "starts")


@dataclass(frozen=True)
class FamilyCondition:
    """A condition of the family, with the images that meet it.

    Attributes:
        condition: the condition.
        mask: bool [n].
        is_paired: whether it is combined with other conditions.
    """

    condition: Condition
    mask: Mask
    is_paired: bool


def _list_arcs(column: str, period: float) -> Iterator[tuple[Condition, bool]]:
    step = period / HOURS_PER_CIRCLE
    for hours in CONSTANTS.family.arc_hours:
        for start in range(HOURS_PER_CIRCLE):
            ends = (start * step, (start + hours) % HOURS_PER_CIRCLE * step)
            is_paired = hours == CONSTANTS.family.paired_arc_hours and start % 2 == 0
            yield Condition(column, "between", ends), is_paired


def _list_quantile_conditions(
    column: str, values: NDArray[np.float64]
) -> Iterator[tuple[Condition, bool]]:
    """Yield tails, both tails together, and windows, with thresholds at quantiles."""
    constants = CONSTANTS.family
    known = values[~np.isnan(values)]
    tails = constants.tail_quantiles
    low = dict(zip(tails, np.quantile(known, tails).tolist(), strict=True))
    upper = [1 - tail for tail in tails]
    high = dict(zip(tails, np.quantile(known, upper).tolist(), strict=True))
    for tail in tails:
        is_paired = tail in constants.paired_quantiles
        yield Condition(column, "<=", low[tail]), is_paired
        yield Condition(column, ">=", high[tail]), is_paired
        if tail <= constants.max_outer_quantile:
            yield Condition(column, "between", (high[tail], low[tail])), False
    for width in constants.window_widths:
        starts = np.arange(width / 2, 1 - width, width / 2)
        for start in starts:
            ends = np.quantile(known, [start, start + width]).tolist()
            if ends[0] < ends[1]:
                yield Condition(column, "between", tuple(ends)), False


def _list_value_conditions(column: str, values: pd.Series) -> Iterator[tuple[Condition, bool]]:
    """Yield each value and each shared beginning; of a text of many values the latter alone.

    A value of such a text is a name of few images, and no rule about it would hold for new ones.
    """
    counts = values.dropna().astype("str").value_counts().sort_index()
    is_text = not pd.api.types.is_numeric_dtype(values)
    has_many_values = is_text and len(counts) > MAX_COLUMN_LEVELS
    for name in [] if has_many_values else counts.index:
        yield Condition(column, "is", str(name)), True
    if not is_text:
        return
    image_counts = dict(zip(counts.index.astype(str), counts.tolist(), strict=True))
    prefixes = list_value_prefixes(image_counts, CONSTANTS.family.max_text_prefixes)
    for prefix in prefixes:
        yield Condition(column, "starts", prefix), not has_many_values


def _list_column_conditions(name: str, column: pd.Series) -> Iterator[tuple[Condition, bool]]:
    """Yield the conditions on one column, and whether each is combined with others."""
    period = get_period(name)
    is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if period and is_number:
        yield from _list_arcs(name, period)
    elif is_number and column.nunique() > CONSTANTS.family.max_code_values:
        yield from _list_quantile_conditions(name, column.to_numpy(dtype=float, na_value=np.nan))
    else:
        yield from _list_value_conditions(name, column)


def list_family_conditions(frame: pd.DataFrame, min_images: int) -> list[FamilyCondition]:
    """Return every condition on a column that admits neither too few nor too many images.

    Those on metadata come first: of two that admit the same images, the first one stays.

    Args:
        frame: `image_id`, `label`, `group`, then the columns that a rule may test.
        min_images: fewest images of a condition.
    """
    most_images = CONSTANTS.family.max_condition_share * len(frame)
    usable = []
    for name in frame.columns[3:]:
        for condition, is_paired in _list_column_conditions(str(name), frame[name]):
            mask = condition.compute_mask(frame, {})
            if min_images <= mask.sum() <= most_images:
                usable.append(FamilyCondition(condition, mask, is_paired))
    return sorted(usable, key=lambda item: item.condition.op not in EXACT_OPERATORS)
