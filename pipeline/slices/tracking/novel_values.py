"""Attribute values of arriving images beyond everything in the reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.attribute_values import format_value, get_period
from pipeline.domain.statuses import NovelSide
from pipeline.slices.tracking.reference_profile import ReferenceProfile
from pipeline.statistics import distribution_shift

Row = dict[str, Any]
Mask = NDArray[np.bool_]


def flag_novel_values(
    attribute: str, reference: ReferenceProfile, table: pd.DataFrame
) -> Iterator[tuple[NovelSide, Mask]]:
    """Yield how a value can be novel: below or above the known range.

    On a circle there is one way: a value is far from every known one.

    Args:
        attribute: the attribute.
        reference: the reference.
        table: the arriving images.

    Yields:
        The side, and bool [rows] whether each image is novel in this way.
    """
    values = table[attribute].to_numpy(np.float64)
    period = get_period(attribute)
    if period:
        known = reference.table[attribute].to_numpy(np.float64)
        is_distant = distribution_shift.flag_distant_values(values, known, period)
        yield NovelSide.APART, is_distant
        return
    low, high = reference.summary["spans"][attribute]
    with np.errstate(invalid="ignore"):
        yield NovelSide.BELOW, values < low
        yield NovelSide.ABOVE, values > high


def find_novel_values(
    attribute: str, reference: ReferenceProfile, table: pd.DataFrame, shift_p: float | None
) -> Iterator[Row]:
    """Yield the findings of one attribute, one for each side of the known range.

    The p-value is the chance of that many novel units. A circle has no extremes, so its p-value
    comes from the attribute's shift.

    Args:
        attribute: the attribute.
        reference: the reference.
        table: the arriving images.
        shift_p: p-value of the attribute's shift; None if it was not tested.
    """
    for side, mask in flag_novel_values(attribute, reference, table):
        if not mask.any():
            continue
        novel = table[mask]
        is_periodic = get_period(attribute) is not None
        p = shift_p if is_periodic else _compute_novelty_p(attribute, reference, table, mask)
        yield {
            "attribute": attribute,
            "side": side,
            "share": float(mask.mean()),
            "images": int(mask.sum()),
            "units": novel["unit"].nunique(),
            "low": format_value(attribute, float(novel[attribute].min())),
            "high": format_value(attribute, float(novel[attribute].max())),
            "known_bound": _format_bound(attribute, reference, side),
            "stray": reference.summary["stray"],
            "known_units": reference.summary["units"],
            "q": None,
            "reason": None,
            "p": p,
        }


def _format_bound(attribute: str, reference: ReferenceProfile, side: NovelSide) -> str | None:
    """Return the end of the known range that was passed; None on a circle, which has none."""
    if side == NovelSide.APART:
        return None
    low, high = reference.summary["spans"][attribute]
    return format_value(attribute, low if side == NovelSide.BELOW else high)


def _compute_novelty_p(
    attribute: str, reference: ReferenceProfile, table: pd.DataFrame, novel_mask: Mask
) -> float:
    """Return the chance of that many novel units against training or validation, the larger one.

    Args:
        attribute: an attribute that is not periodic.
        reference: the reference.
        table: the arriving images.
        novel_mask: bool [rows], the images on one side of the known range.
    """
    low, high = reference.summary["spans"][attribute]
    arrived_units = table.loc[table[attribute].notna(), "unit"].nunique()
    novel_units = table.loc[novel_mask, "unit"].nunique()
    is_low = bool((table.loc[novel_mask, attribute] < low).all())
    chances = []
    for split in reference.split_tables.values():
        known = split[["unit", attribute]].dropna()
        if not len(known):
            continue
        is_stray = known[attribute] < low if is_low else known[attribute] > high
        chances.append(
            distribution_shift.compute_outlier_p(
                known["unit"].nunique(),
                arrived_units,
                novel_units,
                known.loc[is_stray, "unit"].nunique(),
            )
        )
    return max(chances)
