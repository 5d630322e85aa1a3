"""Accuracy of each arm, and the paired gain of the targeted over the control arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage
from pipeline.report.sentences.comparison_sentences import REFERENCE_NAMES, describe_opening_reason
from pipeline.report.sentences.training_sentences import describe_seed_stages
from pipeline.report.sentences.verdict_rows import (
    build_comparison_rows,
    build_power_rows,
    describe_levels,
    list_compared_splits,
)

TITLE = "Accuracy"
WHISKER_WIDTH = 180  # units of the SVG's view box
WHISKER_FILL = 0.94  # share of the width that the widest interval takes
MAX_WHISKER_GAIN = 0.5  # wider intervals are cut off, so that narrow ones stay visible
DEFAULT_WHISKER_GAIN = 0.1  # end of the axis if no interval is known


def render(page: ReportPage) -> Markup:
    """Return every comparison with its interval, and the tests that had too few groups."""
    rows = _drop_repeated_rows(build_comparison_rows(page), page["comparison"]["primary"]["slices"])
    if not rows:
        return Markup("")
    max_gain = _find_max_gain(rows)
    for row in rows:
        row["whisker"] = _place_whisker(row["gain"], max_gain)
    comparison, main_row = page["comparison"], rows[0]
    records = {split: record for split, _, record in list_compared_splits(page)}
    power_rows = build_power_rows(page)
    return render_template(
        "accuracy_change.html",
        rows=rows,
        main_row=main_row,
        has_targeted_arm=page.has_targeted_arm,
        levels=describe_levels(page),
        f1_rows=_build_f1_rows(records),
        power_rows=power_rows,
        underpowered_tests=[row for row in power_rows if row["enough"] is False],
        overall_changes=_list_overall_changes(records[main_row["split"]]),
        margins=comparison.get("margins"),
        sealing_reason=_describe_sealing(comparison),
        seeds=main_row["gain"]["seeds"] if main_row["gain"] else 0,
        generic_rows=[row for row in rows if row["over_generic"]],
        costs=comparison.get("costs"),
        seed_stages=describe_seed_stages(comparison.get("seeds"), page["training"]["passes"]),
        budget=[arm for arm in comparison.get("budget", ()) if arm["passes"]],
    )


def _list_overall_changes(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the overall change against each reference arm."""
    changes = []
    for arm, safety in record["safety"].items():
        overall = safety["overall"]
        changes.append({"name": REFERENCE_NAMES[arm]} | {k: overall[k] for k in ("mean", "bound")})
    return changes


def _describe_sealing(comparison: Mapping[str, Any]) -> str:
    """Return why the test set is still sealed; empty if it was opened."""
    opening = comparison["opening"]
    return "" if opening["opened"] else describe_opening_reason(opening["reason"])


def _drop_repeated_rows(
    rows: list[dict[str, Any]], planned_slices: list[str]
) -> list[dict[str, Any]]:
    """Return the rows; a single planned slice is not repeated as all planned slices."""
    if len(planned_slices) != 1:
        return rows
    return [row for row in rows if row["subset_kind"] != "planned"]


def _build_f1_rows(records: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for split, record in records.items():
        row: dict[str, Any] = {"split": split}
        for arm in ("before", "control", "targeted"):
            seeds = record["arms"].get(arm)
            row[arm] = seeds[0]["macro_f1"] if seeds else None
        rows.append(row)
    return rows


def _find_max_gain(rows: list[dict[str, Any]]) -> float:
    """Return the gain at the end of the whiskers' axis."""
    ends = []
    for row in rows:
        gain = row["gain"] or {}
        for end in (gain.get("low"), gain.get("high")):
            if end is not None:
                ends.append(abs(end))
    return min(max(ends, default=DEFAULT_WHISKER_GAIN), MAX_WHISKER_GAIN) or 1.0


def _place_whisker(gain: dict[str, Any] | None, max_gain: float) -> dict[str, float] | None:
    """Return the positions of an interval on an axis from -max_gain to +max_gain."""
    if not gain or None in (gain["mean"], gain["low"], gain["high"]):
        return None
    middle = WHISKER_WIDTH / 2
    whisker: dict[str, float] = {"zero": middle, "width": WHISKER_WIDTH}
    for key in ("low", "mean", "high"):
        clipped = max(-1.0, min(1.0, gain[key] / max_gain))
        whisker[key] = round(middle + middle * clipped * WHISKER_FILL, 1)
    return whisker
