"""What arrived against what a model's data looked like: its slices, its attributes, and what lies outside all of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline import plugins
from pipeline.config import Settings
from pipeline.evidence import drift
from pipeline.evidence.drift import Evidence, Shift
from pipeline.evidence.intervals import finite
from pipeline.evidence.multiple import benjamini_hochberg
from pipeline.slicing.reference import PREFIX, Reference
from pipeline.slicing.rules import period, shown

Row = dict[str, Any]
Mask = NDArray[np.bool_]


class Limits(Settings):
    """What may differ before a condition fails; a `max_` is a condition, and counts only where it is no accident."""

    max_psi: float = Field(0.2, gt=0, description="population stability index of an attribute against training")
    max_new: float = Field(0.05, ge=0, le=1, description="share of photos beyond everything in training, one attribute")
    max_slice_rise: float = Field(0.1, ge=0, le=1, description="by how much the share of a known slice may grow")
    alpha: float = Field(0.05, gt=0, lt=1, description="false discovery rate of all tests together")
    units: int = Field(10, ge=2, description="independent units (groups, stretches of time) under which none is tested")


@dataclass(frozen=True)
class Traffic:
    """Photos that arrived, one row each: unit, attributes and slices as in `Reference.table`, any of them absent.
    basis: in words, what the units are."""

    table: pd.DataFrame
    basis: str


def _p(row: Shift) -> Row:
    return {"p": finite(row.p), "q": None, "units": row.units, "reason": row.reason}


def _share_shift(
    known: pd.DataFrame, arrived: pd.DataFrame, column: str, evidence: Evidence
) -> tuple[Row, Shift]:
    """A share (a column of 0 and 1, NaN unknown) on both sides, and whether it moved."""
    sides = [side[["unit", column]].dropna() for side in (known, arrived)]
    expected, share = (finite(side[column].astype(float).mean()) for side in sides)
    moved = drift.shift([s[column].astype(int) for s in sides], [s["unit"] for s in sides], 2, evidence)
    rise = None if share is None or expected is None else share - expected
    return {"share": share, "expected": expected, "rise": rise}, moved


def share_of(reference: Reference, traffic: Traffic, column: str, evidence: Evidence) -> Row:
    """{share, expected, rise, p, q (None as yet), units, reason} of a column of 0 and 1, such as `declined`."""
    row, moved = _share_shift(reference.table, traffic.table, column, evidence)
    return row | _p(moved)


def _slices(reference: Reference, traffic: Traffic, evidence: Evidence) -> Iterator[Row]:
    for item in reference.slices:
        column = PREFIX + str(item["slice"])
        if column in reference.table and column in traffic.table:
            told = {"slice": item["slice"], "words": item["words"], "rule": reference.words(str(item["slice"]))}
            yield told | share_of(reference, traffic, column, evidence)


def _attribute(name: str, reference: Reference, traffic: Traffic, evidence: Evidence) -> Row:
    known, arrived = (side[name].to_numpy(np.float64) for side in (reference.table, traffic.table))
    at = drift.cuts(known, period(name))
    bins = [drift.binned(x, at, period(name)) for x in (known, arrived)]
    moved = drift.shift(bins, [reference.table["unit"], traffic.table["unit"]], len(at) + 1, evidence)
    expected, found = (np.bincount(b[b >= 0], minlength=len(at) + 1).tolist() for b in bins)
    return {
        "attribute": name, "psi": moved.psi, "known": float((bins[1] >= 0).mean()) if len(arrived) else 0.0,
        "edges": [shown(name, x) for x in at.tolist()], "expected": expected, "found": found,
        "usual": _middle(name, known), "now": _middle(name, arrived),
    } | _p(moved)


def _middle(name: str, values: NDArray[np.float64]) -> str | None:
    """The median in words; on a circle, the direction of the mean."""
    known, around = values[~np.isnan(values)], period(name)
    if not len(known):
        return None
    if not around:
        return shown(name, float(np.median(known)))
    turn = np.exp(2j * math.pi * known / around).mean()
    return shown(name, float(np.angle(turn) / (2 * math.pi) * around % around))


def outside(name: str, reference: Reference, table: pd.DataFrame) -> Iterator[tuple[str, Mask, str]]:
    """Each way of lying beyond everything known: in words, which photos, and where what is known ends."""
    values, around = table[name].to_numpy(np.float64), period(name)
    adjectives = plugins.module("attributes", name).WORDS
    if around:
        known = reference.table[name].to_numpy(np.float64)
        yield f"{name} unlike any", drift.apart(values, known, around), f"training: none within {around / 24:g}"
        return
    low, high = reference.about["spans"][name]
    with np.errstate(invalid="ignore"):
        yield adjectives[0], values < low, f"training: {shown(name, low)} or more"
        yield adjectives[1], values > high, f"training: {shown(name, high)} or less"


def _new(name: str, reference: Reference, traffic: Traffic, moved: float | None) -> Iterator[Row]:
    """What lies beyond everything known in an attribute; p by unit: the chance that the most extreme of all arrived.
    moved: p of the attribute as a whole, which stands for it on a circle, where nothing is extreme."""
    table = traffic.table
    for words, mask, where in outside(name, reference, table):
        if not mask.any():
            continue
        values = table.loc[mask, name]
        inside = [table.loc[m, "unit"].nunique() for m in (table[name].notna().to_numpy(), mask)]
        yield {
            "attribute": name, "words": words, "share": float(mask.mean()), "photos": int(mask.sum()),
            "units": inside[1], "low": shown(name, float(values.min())), "high": shown(name, float(values.max())),
            "where": where, "q": None, "reason": None,
            "p": moved if period(name) else drift.beyond(reference.about["units"], inside[0], inside[1]),
        }


def compared(reference: Reference, traffic: Traffic) -> list[str]:
    """The attributes that both sides hold."""
    return [name for name in reference.about["spans"] if name in traffic.table and name in reference.table]


def compare(reference: Reference, traffic: Traffic, limits: Limits, more: Sequence[Row] = ()) -> Row:
    """The findings as JSON: photos, units, basis, slices, attributes, new (largest first), each tested with its q.

    more: further tested rows (`share_of`), which share the false discovery rate and are given their q in place.
    """
    evidence = Evidence(units=limits.units)
    names = compared(reference, traffic)
    slices = list(_slices(reference, traffic, evidence))
    attributes = [_attribute(name, reference, traffic, evidence) for name in names]
    new = [row for name, its in zip(names, attributes, strict=True) for row in _new(name, reference, traffic, its["p"])]
    tested = [*slices, *attributes, *new, *more]
    for row, q in zip(tested, benjamini_hochberg([row["p"] for row in tested]), strict=True):
        row["q"] = finite(q)
    return {
        "photos": len(traffic.table), "units": int(traffic.table["unit"].nunique()), "basis": traffic.basis,
        "training": {key: reference.about[key] for key in ("photos", "units", "basis")},
        "slices": slices, "attributes": sorted(attributes, key=lambda row: -(row["psi"] or 0.0)),
        "new": sorted(new, key=lambda row: -row["share"]), "missing": _missing(reference, names),
    }


def _missing(reference: Reference, names: Sequence[str]) -> list[str]:
    return [name for name in reference.about["spans"] if name not in names]


@dataclass(frozen=True)
class Part:
    """One kind of finding: the condition's name, its key of value, its rows, and each row in words."""

    name: str
    key: str
    rows: Sequence[Row]
    label: str
    words: str
    share: bool = True


def judge(part: Part, limit: float, alpha: float) -> Row:
    """A condition: {name, value, limit, passed, words}. It fails where a row passes the limit and chance does not
    explain it; value is the largest among the rows that chance does not explain, None where none could be tested."""
    real = [row for row in part.rows if row["q"] is not None and row["q"] <= alpha]
    over = sorted((row for row in real if row[part.key] > limit), key=lambda row: -row[part.key])
    tested = any(row["q"] is not None for row in part.rows)
    value = max((float(row[part.key]) for row in real), default=0.0 if tested or not part.rows else None)
    form = "{:.1%}" if part.share else "{:.2f}"
    named = ", ".join(f"{row[part.label]} {form.format(row[part.key])}" for row in over)
    found = named or ("no change was shown" if tested or not part.rows else f"not judged: {part.rows[0]['reason']}")
    text = f"{part.words}: {found}; at most {form.format(limit)} ({part.name})"
    return {"name": part.name, "value": value, "limit": limit, "passed": not over, "words": text}


def conditions(found: Row, limits: Limits) -> list[Row]:
    """The three conditions that need no prediction: attributes, what is new, slices. found: as `compare` says."""
    parts = [
        Part("max_psi", "psi", found["attributes"], "attribute", "attributes that drifted", share=False),
        Part("max_new", "share", found["new"], "words", "photos beyond everything in training"),
        Part("max_slice_rise", "rise", found["slices"], "slice", "slices that grew"),
    ]
    if not found["photos"]:
        parts = [replace(part, rows=()) for part in parts]
    return [judge(part, float(getattr(limits, part.name)), limits.alpha) for part in parts]
