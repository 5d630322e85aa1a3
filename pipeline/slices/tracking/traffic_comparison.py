"""What arrived against what a model's data looked like: its slices, its attributes, and what lies outside all of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline import plugins
from pipeline.config import StageSettings
from pipeline.domain.rules import format_value, get_period
from pipeline.slices.tracking.reference_profile import SLICE_COLUMN_PREFIX, ReferenceProfile
from pipeline.statistics import distribution_shift
from pipeline.statistics.distribution_shift import ShiftEvidence, ShiftTest
from pipeline.statistics.group_intervals import sanitize_float
from pipeline.statistics.multiple_testing import adjust_benjamini_hochberg

Row = dict[str, Any]
Mask = NDArray[np.bool_]


class TrafficLimits(StageSettings):
    """What may differ before a condition fails; a `max_` is a condition, and counts only where it is no accident."""

    max_psi: float = Field(0.2, gt=0, description="population stability index of an attribute")
    max_new: float = Field(
        0.05, ge=0, le=1, description="share of images beyond everything known, one attribute"
    )
    max_slice_rise: float = Field(
        0.1, ge=0, le=1, description="by how much the share of a known slice may grow"
    )
    alpha: float = Field(0.05, gt=0, lt=1, description="false discovery rate of all tests together")
    units: int = Field(
        10,
        ge=2,
        description="independent units (groups, stretches of time) under which none is tested",
    )


@dataclass(frozen=True)
class ArrivedTraffic:
    """Images that arrived, one row each: unit, attributes and slices as in `Reference.table`, any of them absent.
    basis: in words, what the units are."""

    table: pd.DataFrame
    unit_basis: str


def _combine_shifts(shifts: Mapping[str, ShiftTest]) -> Row:
    """A change is one from training and from validation alike (traffic like either is known): the smaller index and
    the larger p of those that could be had. Source: Berger 1982 (intersection-union tests need no correction)."""
    tested = [s.p for s in shifts.values() if s.p is not None]
    sizes = {f"psi_{side}": s.psi for side, s in shifts.items()}
    reasons = [s.reason for s in shifts.values() if s.reason]
    return sizes | {
        "psi": min((psi for psi in sizes.values() if psi is not None), default=None),
        "p": max(tested, default=None),
        "q": None,
        "units": max(s.unit_count for s in shifts.values()),
        "reason": None if tested else reasons[-1],
    }


def compare_share(
    reference: ReferenceProfile, traffic: ArrivedTraffic, column: str, evidence: ShiftEvidence
) -> Row:
    """A share (a column of 0 and 1 such as `declined`, NaN unknown) of what arrived, of training and of validation;
    rise: over the larger of the two; p, q (None as yet), psi, units, reason: whether it moved from both."""
    arrived = traffic.table[["unit", column]].dropna().astype({column: float})
    shifts, shares = {}, {}
    for name, table in reference.split_tables.items():
        side = table[["unit", column]].dropna().astype({column: float})
        bins = [x[column].astype(int) for x in (side, arrived)]
        shifts[name] = distribution_shift.measure_shift(
            bins, [side["unit"], arrived["unit"]], 2, evidence
        )
        shares[name] = sanitize_float(side[column].mean())
    share, most = (
        sanitize_float(arrived[column].mean()),
        max((x for x in shares.values() if x is not None), default=None),
    )
    rise = None if share is None or most is None else share - most
    return {"share": share, **shares, "rise": rise} | _combine_shifts(shifts)


def _compare_slices(
    reference: ReferenceProfile, traffic: ArrivedTraffic, evidence: ShiftEvidence
) -> Iterator[Row]:
    for item in reference.slice_records:
        column = SLICE_COLUMN_PREFIX + str(item["slice"])
        if column in reference.table and column in traffic.table:
            told = {
                "slice": item["slice"],
                "words": item["words"],
                "title": item.get("title") or item["words"],
                "rule": reference.format_slice_rule(str(item["slice"])),
            }
            yield told | compare_share(reference, traffic, column, evidence)


def _compare_attribute(
    attribute: str, reference: ReferenceProfile, traffic: ArrivedTraffic, evidence: ShiftEvidence
) -> Row:
    at = distribution_shift.compute_bin_edges(reference.table[attribute], get_period(attribute))
    sides = {**reference.split_tables, "arrived": traffic.table}
    values = {side: table[attribute].to_numpy(np.float64) for side, table in sides.items()}
    bins = {
        side: distribution_shift.assign_bins(x, at, get_period(attribute))
        for side, x in values.items()
    }
    shifts = {
        side: distribution_shift.measure_shift(
            [bins[side], bins["arrived"]],
            [table["unit"], traffic.table["unit"]],
            len(at) + 1,
            evidence,
        )
        for side, table in reference.split_tables.items()
    }
    counts = {
        side: np.bincount(b[b >= 0], minlength=len(at) + 1).tolist() for side, b in bins.items()
    }
    known = float((bins["arrived"] >= 0).mean()) if len(traffic.table) else 0.0
    return {
        "attribute": attribute,
        "known": known,
        "edges": [format_value(attribute, x) for x in at.tolist()],
        "counts": counts,
        "median": {side: _format_median(attribute, x) for side, x in values.items()},
    } | _combine_shifts(shifts)


def _format_median(attribute: str, values: NDArray[np.float64]) -> str | None:
    """The median in words; on a circle, the direction of the mean."""
    known, around = values[~np.isnan(values)], get_period(attribute)
    if not len(known):
        return None
    if not around:
        return format_value(attribute, float(np.median(known)))
    turn = np.exp(2j * math.pi * known / around).mean()
    return format_value(attribute, float(np.angle(turn) / (2 * math.pi) * around % around))


def describe_unknown_values(
    attribute: str, reference: ReferenceProfile, table: pd.DataFrame
) -> Iterator[tuple[str, Mask, str]]:
    """Each way of lying beyond everything known: in words, which images, and where what is known ends."""
    values, around = table[attribute].to_numpy(np.float64), get_period(attribute)
    adjectives = plugins.load_plugin("attributes", attribute).LOW_HIGH_WORDS
    if around:
        known = reference.table[attribute].to_numpy(np.float64)
        yield (
            f"{attribute} unlike any",
            distribution_shift.flag_distant_values(values, known, around),
            f"none within {around / 24:g}",
        )
        return
    stray, units = reference.summary["stray"], reference.summary["units"]
    but = f", but for {stray} of {units:,} units" if stray else ""
    low, high = reference.summary["spans"][attribute]
    with np.errstate(invalid="ignore"):
        yield adjectives[0], values < low, f"{format_value(attribute, low)} or more{but}"
        yield adjectives[1], values > high, f"{format_value(attribute, high)} or less{but}"


def _find_unknown_images(
    attribute: str, reference: ReferenceProfile, traffic: ArrivedTraffic, shift_p: float | None
) -> Iterator[Row]:
    """What lies beyond everything known in an attribute; p by unit: the chance that so many of the most extreme came.
    moved: p of the attribute as a whole, which stands for it on a circle, where nothing is extreme."""
    table = traffic.table
    for words, mask, where in describe_unknown_values(attribute, reference, table):
        if not mask.any():
            continue
        low, high = (
            format_value(attribute, float(value))
            for value in table.loc[mask, attribute].agg(["min", "max"])
        )
        yield {
            "attribute": attribute,
            "words": words,
            "share": float(mask.mean()),
            "images": int(mask.sum()),
            "units": table.loc[mask, "unit"].nunique(),
            "low": low,
            "high": high,
            "where": where,
            "q": None,
            "reason": None,
            "p": shift_p
            if get_period(attribute)
            else _compute_unknown_p(attribute, reference, table, mask),
        }


def _compute_unknown_p(
    attribute: str, reference: ReferenceProfile, table: pd.DataFrame, unknown_mask: Mask
) -> float:
    """The chance of so many units beyond, against training and against validation; the larger of the two."""
    low, high = reference.summary["spans"][attribute]
    arrived, beyond = (
        table.loc[m, "unit"].nunique() for m in (table[attribute].notna(), unknown_mask)
    )
    under = bool((table.loc[unknown_mask, attribute] < low).all())
    chances = []
    for side in reference.split_tables.values():
        known = side[["unit", attribute]].dropna()
        stray = known[known[attribute] < low if under else known[attribute] > high][
            "unit"
        ].nunique()
        if len(known):
            chances.append(
                distribution_shift.compute_outlier_p(
                    known["unit"].nunique(), arrived, beyond, stray
                )
            )
    return max(chances)


def list_shared_attributes(reference: ReferenceProfile, traffic: ArrivedTraffic) -> list[str]:
    """The attributes that both sides hold."""
    return [
        name
        for name in reference.summary["spans"]
        if name in traffic.table and name in reference.table
    ]


def compare_traffic(
    reference: ReferenceProfile,
    traffic: ArrivedTraffic,
    limits: TrafficLimits,
    extra_rows: Sequence[Row] = (),
) -> Row:
    """The findings as JSON: images, units, basis, slices, attributes, new (largest first), each tested with its q.

    more: further tested rows (`share_of`), which share the false discovery rate and are given their q in place.
    """
    evidence = ShiftEvidence(min_units=limits.units)
    names = list_shared_attributes(reference, traffic)
    slices = list(_compare_slices(reference, traffic, evidence))
    attributes = [_compare_attribute(name, reference, traffic, evidence) for name in names]
    new = [
        row
        for name, its in zip(names, attributes, strict=True)
        for row in _find_unknown_images(name, reference, traffic, its["p"])
    ]
    tested = [*slices, *attributes, *new, *extra_rows]
    for row, q in zip(tested, adjust_benjamini_hochberg([row["p"] for row in tested]), strict=True):
        row["q"] = sanitize_float(q)
    return {
        "alpha": limits.alpha,
        "images": len(traffic.table),
        "units": int(traffic.table["unit"].nunique()),
        "basis": traffic.unit_basis,
        "known": {
            key: reference.summary[key] for key in ("training", "validation", "units", "basis")
        },
        "slices": slices,
        "attributes": sorted(attributes, key=lambda row: -(row["psi"] or 0.0)),
        "new": sorted(new, key=lambda row: -row["share"]),
        "missing": _list_missing_attributes(reference, names),
    }


def _list_missing_attributes(reference: ReferenceProfile, attributes: Sequence[str]) -> list[str]:
    return [name for name in reference.summary["spans"] if name not in attributes]


@dataclass(frozen=True)
class FindingKind:
    """One kind of finding: the condition's name, its key of value, its rows, and each row in words."""

    condition: str
    value_key: str
    rows: Sequence[Row]
    label_key: str
    description: str
    is_share: bool = True


def evaluate_condition(finding: FindingKind, limit: float, alpha: float) -> Row:
    """A condition: {name, value, limit, passed, words}. It fails where a row passes the limit and chance does not
    explain it; value is the largest among the rows that chance does not explain, None where none could be tested."""
    real = [row for row in finding.rows if row["q"] is not None and row["q"] <= alpha]
    over = sorted(
        (row for row in real if row[finding.value_key] > limit),
        key=lambda row: -row[finding.value_key],
    )
    tested = any(row["q"] is not None for row in finding.rows)
    value = max(
        (float(row[finding.value_key]) for row in real),
        default=0.0 if tested or not finding.rows else None,
    )
    form = "{:.1%}" if finding.is_share else "{:.2f}"
    named = ", ".join(
        f"{row[finding.label_key]} {form.format(row[finding.value_key])}" for row in over
    )
    found = named or (
        "no change was shown"
        if tested or not finding.rows
        else f"not judged: {finding.rows[0]['reason']}"
    )
    text = f"{finding.description}: {found}; at most {form.format(limit)} ({finding.condition})"
    return {
        "name": finding.condition,
        "value": value,
        "limit": limit,
        "passed": not over,
        "words": text,
    }


def evaluate_conditions(comparison: Row, limits: TrafficLimits) -> list[Row]:
    """The three conditions that need no prediction: attributes, what is new, slices. found: as `compare` says."""
    parts = [
        FindingKind(
            "max_psi",
            "psi",
            comparison["attributes"],
            "attribute",
            "attributes that drifted",
            is_share=False,
        ),
        FindingKind(
            "max_new", "share", comparison["new"], "words", "images beyond everything known"
        ),
        FindingKind("max_slice_rise", "rise", comparison["slices"], "slice", "slices that grew"),
    ]
    if not comparison["images"]:
        parts = [replace(part, rows=()) for part in parts]
    return [
        evaluate_condition(part, float(getattr(limits, part.condition)), limits.alpha)
        for part in parts
    ]
