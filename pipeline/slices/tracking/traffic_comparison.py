"""Arriving traffic compared with a model's reference: its slices, attributes and novel values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.attribute_values import format_value, get_period
from pipeline.domain.statuses import UnitBasis
from pipeline.slices.tracking.novel_values import find_novel_values
from pipeline.slices.tracking.reference_profile import SLICE_COLUMN_PREFIX, ReferenceProfile
from pipeline.slices.tracking.traffic_conditions import TrafficLimits
from pipeline.statistics import distribution_shift
from pipeline.statistics.distribution_shift import ShiftEvidence, ShiftTest
from pipeline.statistics.group_intervals import sanitize_float
from pipeline.statistics.multiple_testing import adjust_benjamini_hochberg

Row = dict[str, Any]


@dataclass(frozen=True)
class ArrivedTraffic:
    """Images that arrived.

    Attributes:
        table: one row for each image, with `unit` and any of the attributes and slices of
            `ReferenceProfile.table`.
        unit_basis: what the units are.
    """

    table: pd.DataFrame
    unit_basis: UnitBasis


def _combine_shifts(shifts: Mapping[str, ShiftTest]) -> Row:
    """Return the shift from both training and validation, since traffic like either is known.

    It has the smaller index and the larger p-value (intersection-union tests need no correction,
    Berger 1982).
    """
    row: Row = {f"psi_{name}": shift.psi for name, shift in shifts.items()}
    known_sizes = [psi for psi in row.values() if psi is not None]
    p_values = [shift.p for shift in shifts.values() if shift.p is not None]
    reasons = [shift.reason for shift in shifts.values() if shift.reason]
    return row | {
        "psi": min(known_sizes, default=None),
        "p": max(p_values, default=None),
        "q": None,
        "units": max(shift.unit_count for shift in shifts.values()),
        "reason": None if p_values else reasons[-1].build_record(),
    }


def compare_share(
    reference: ReferenceProfile, traffic: ArrivedTraffic, column: str, evidence: ShiftEvidence
) -> Row:
    """Compare a share of the traffic with the same share of training and of validation.

    Args:
        reference: the reference.
        traffic: the images that arrived.
        column: a column of 0 and 1 such as `declined`; NaN if unknown.
        evidence: what a shift test needs.

    Returns:
        share, training, validation; rise: over the larger of the two; p, q (None), psi, units and
        reason of the shift from both.
    """
    arrived = traffic.table[["unit", column]].dropna().astype({column: float})
    shifts = {}
    shares = {}
    for name, table in reference.split_tables.items():
        known = table[["unit", column]].dropna().astype({column: float})
        bins = [known[column].astype(int), arrived[column].astype(int)]
        units = [known["unit"], arrived["unit"]]
        shifts[name] = distribution_shift.measure_shift(bins, units, 2, evidence)
        shares[name] = sanitize_float(known[column].mean())
    share = sanitize_float(arrived[column].mean())
    known_shares = [value for value in shares.values() if value is not None]
    rise = None if share is None or not known_shares else share - max(known_shares)
    return {"share": share, **shares, "rise": rise} | _combine_shifts(shifts)


def _compare_slices(
    reference: ReferenceProfile, traffic: ArrivedTraffic, evidence: ShiftEvidence
) -> Iterator[Row]:
    for record in reference.slice_records:
        name = str(record["slice"])
        column = SLICE_COLUMN_PREFIX + name
        if column not in reference.table or column not in traffic.table:
            continue
        row = {
            "slice": record["slice"],
            "words": record["words"],
            "title": record.get("title") or record["words"],
            "rule": reference.format_slice_rule(name),
        }
        yield row | compare_share(reference, traffic, column, evidence)


def _compare_attribute(
    attribute: str, reference: ReferenceProfile, traffic: ArrivedTraffic, evidence: ShiftEvidence
) -> Row:
    """Return the distributions of an attribute and its shift from training and from validation."""
    period = get_period(attribute)
    edges = distribution_shift.compute_bin_edges(reference.table[attribute], period)
    bin_count = len(edges) + 1
    bins = {}
    counts = {}
    medians = {}
    tables = {**reference.split_tables, "arrived": traffic.table}
    for name, table in tables.items():
        values = table[attribute].to_numpy(np.float64)
        bins[name] = distribution_shift.assign_bins(values, edges, period)
        known_bins = bins[name][bins[name] >= 0]
        counts[name] = np.bincount(known_bins, minlength=bin_count).tolist()
        medians[name] = _format_median(attribute, values)
    shifts = {}
    for name, table in reference.split_tables.items():
        shifts[name] = distribution_shift.measure_shift(
            [bins[name], bins["arrived"]],
            [table["unit"], traffic.table["unit"]],
            bin_count,
            evidence,
        )
    return {
        "attribute": attribute,
        "known": float((bins["arrived"] >= 0).mean()) if len(traffic.table) else 0.0,
        "edges": [format_value(attribute, edge) for edge in edges.tolist()],
        "counts": counts,
        "median": medians,
    } | _combine_shifts(shifts)


def _format_median(attribute: str, values: NDArray[np.float64]) -> str | None:
    """Return the median as text; on a circle, the direction of the mean vector."""
    known = values[~np.isnan(values)]
    period = get_period(attribute)
    if not len(known):
        return None
    if not period:
        return format_value(attribute, float(np.median(known)))
    mean_vector = np.exp(2j * math.pi * known / period).mean()
    direction = float(np.angle(mean_vector) / (2 * math.pi) * period % period)
    return format_value(attribute, direction)


def list_shared_attributes(reference: ReferenceProfile, traffic: ArrivedTraffic) -> list[str]:
    """Return the attributes of both the reference and the traffic."""
    shared = []
    for name in reference.summary["spans"]:
        if name in traffic.table and name in reference.table:
            shared.append(name)
    return shared


def compare_traffic(
    reference: ReferenceProfile,
    traffic: ArrivedTraffic,
    limits: TrafficLimits,
    extra_rows: Sequence[Row] = (),
) -> Row:
    """Compare traffic with the reference.

    Args:
        reference: the reference.
        traffic: the images that arrived.
        limits: the limits; `units` and `alpha` are read.
        extra_rows: further tested rows, see `compare_share`. They share the false discovery rate,
            and their `q` is set in place.

    Returns:
        The findings as JSON: images, units, basis, slices, attributes, new (largest share first),
        each tested with its q, and missing attributes.
    """
    evidence = ShiftEvidence(min_units=limits.units)
    names = list_shared_attributes(reference, traffic)
    slices = list(_compare_slices(reference, traffic, evidence))
    attributes = []
    novel_values: list[Row] = []
    for name in names:
        row = _compare_attribute(name, reference, traffic, evidence)
        attributes.append(row)
        novel_values += find_novel_values(name, reference, traffic.table, row["p"])
    tested = [*slices, *attributes, *novel_values, *extra_rows]
    q_values = adjust_benjamini_hochberg([row["p"] for row in tested])
    for row, q in zip(tested, q_values, strict=True):
        row["q"] = sanitize_float(q)
    known_keys = ("training", "validation", "units", "basis")
    return {
        "alpha": limits.alpha,
        "images": len(traffic.table),
        "units": int(traffic.table["unit"].nunique()),
        "basis": traffic.unit_basis,
        "known": {key: reference.summary[key] for key in known_keys},
        "slices": slices,
        "attributes": sorted(attributes, key=lambda row: -(row["psi"] or 0.0)),
        "new": sorted(novel_values, key=lambda row: -row["share"]),
        "missing": [name for name in reference.summary["spans"] if name not in names],
    }
