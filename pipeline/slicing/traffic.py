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

    max_psi: float = Field(0.2, gt=0, description="population stability index of an attribute")
    max_new: float = Field(0.05, ge=0, le=1, description="share of photos beyond everything known, one attribute")
    max_slice_rise: float = Field(0.1, ge=0, le=1, description="by how much the share of a known slice may grow")
    alpha: float = Field(0.05, gt=0, lt=1, description="false discovery rate of all tests together")
    units: int = Field(10, ge=2, description="independent units (groups, stretches of time) under which none is tested")


@dataclass(frozen=True)
class Traffic:
    """Photos that arrived, one row each: unit, attributes and slices as in `Reference.table`, any of them absent.
    basis: in words, what the units are."""

    table: pd.DataFrame
    basis: str


def _both(shifts: Mapping[str, Shift]) -> Row:
    """A change is one from training and from validation alike (traffic like either is known): the smaller index and
    the larger p of those that could be had. Source: Berger 1982 (intersection-union tests need no correction)."""
    tested = [s.p for s in shifts.values() if s.p is not None]
    sizes = {f"psi_{side}": s.psi for side, s in shifts.items()}
    reasons = [s.reason for s in shifts.values() if s.reason]
    return sizes | {
        "psi": min((psi for psi in sizes.values() if psi is not None), default=None),
        "p": max(tested, default=None), "q": None, "units": max(s.units for s in shifts.values()),
        "reason": None if tested else reasons[-1],
    }


def share_of(reference: Reference, traffic: Traffic, column: str, evidence: Evidence) -> Row:
    """A share (a column of 0 and 1 such as `declined`, NaN unknown) of what arrived, of training and of validation;
    rise: over the larger of the two; p, q (None as yet), psi, units, reason: whether it moved from both."""
    arrived = traffic.table[["unit", column]].dropna().astype({column: float})
    shifts, shares = {}, {}
    for name, table in reference.sides.items():
        side = table[["unit", column]].dropna().astype({column: float})
        bins = [x[column].astype(int) for x in (side, arrived)]
        shifts[name] = drift.shift(bins, [side["unit"], arrived["unit"]], 2, evidence)
        shares[name] = finite(side[column].mean())
    share, most = finite(arrived[column].mean()), max((x for x in shares.values() if x is not None), default=None)
    rise = None if share is None or most is None else share - most
    return {"share": share, **shares, "rise": rise} | _both(shifts)


def _slices(reference: Reference, traffic: Traffic, evidence: Evidence) -> Iterator[Row]:
    for item in reference.slices:
        column = PREFIX + str(item["slice"])
        if column in reference.table and column in traffic.table:
            told = {"slice": item["slice"], "words": item["words"], "rule": reference.words(str(item["slice"]))}
            yield told | share_of(reference, traffic, column, evidence)


def _attribute(name: str, reference: Reference, traffic: Traffic, evidence: Evidence) -> Row:
    at = drift.cuts(reference.table[name], period(name))
    sides = {**reference.sides, "arrived": traffic.table}
    values = {side: table[name].to_numpy(np.float64) for side, table in sides.items()}
    bins = {side: drift.binned(x, at, period(name)) for side, x in values.items()}
    shifts = {
        side: drift.shift([bins[side], bins["arrived"]], [table["unit"], traffic.table["unit"]], len(at) + 1, evidence)
        for side, table in reference.sides.items()
    }
    counts = {side: np.bincount(b[b >= 0], minlength=len(at) + 1).tolist() for side, b in bins.items()}
    known = float((bins["arrived"] >= 0).mean()) if len(traffic.table) else 0.0
    return {
        "attribute": name, "known": known, "edges": [shown(name, x) for x in at.tolist()], "counts": counts,
        "median": {side: _middle(name, x) for side, x in values.items()},
    } | _both(shifts)


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
        yield f"{name} unlike any", drift.apart(values, known, around), f"none within {around / 24:g}"
        return
    stray, units = reference.about["stray"], reference.about["units"]
    but = f", but for {stray} of {units:,} units" if stray else ""
    low, high = reference.about["spans"][name]
    with np.errstate(invalid="ignore"):
        yield adjectives[0], values < low, f"{shown(name, low)} or more{but}"
        yield adjectives[1], values > high, f"{shown(name, high)} or less{but}"


def _new(name: str, reference: Reference, traffic: Traffic, moved: float | None) -> Iterator[Row]:
    """What lies beyond everything known in an attribute; p by unit: the chance that so many of the most extreme came.
    moved: p of the attribute as a whole, which stands for it on a circle, where nothing is extreme."""
    table = traffic.table
    for words, mask, where in outside(name, reference, table):
        if not mask.any():
            continue
        low, high = (shown(name, float(value)) for value in table.loc[mask, name].agg(["min", "max"]))
        yield {
            "attribute": name, "words": words, "share": float(mask.mean()), "photos": int(mask.sum()),
            "units": table.loc[mask, "unit"].nunique(), "low": low, "high": high,
            "where": where, "q": None, "reason": None,
            "p": moved if period(name) else _chance(name, reference, table, mask),
        }


def _chance(name: str, reference: Reference, table: pd.DataFrame, mask: Mask) -> float:
    """The chance of so many units beyond, against training and against validation; the larger of the two."""
    low, high = reference.about["spans"][name]
    arrived, beyond = (table.loc[m, "unit"].nunique() for m in (table[name].notna(), mask))
    under = bool((table.loc[mask, name] < low).all())
    chances = []
    for side in reference.sides.values():
        known = side[["unit", name]].dropna()
        stray = known[known[name] < low if under else known[name] > high]["unit"].nunique()
        if len(known):
            chances.append(drift.beyond(known["unit"].nunique(), arrived, beyond, stray))
    return max(chances)


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
        "alpha": limits.alpha, "photos": len(traffic.table), "units": int(traffic.table["unit"].nunique()),
        "basis": traffic.basis,
        "known": {key: reference.about[key] for key in ("training", "validation", "units", "basis")},
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
        Part("max_new", "share", found["new"], "words", "photos beyond everything known"),
        Part("max_slice_rise", "rise", found["slices"], "slice", "slices that grew"),
    ]
    if not found["photos"]:
        parts = [replace(part, rows=()) for part in parts]
    return [judge(part, float(getattr(limits, part.name)), limits.alpha) for part in parts]
