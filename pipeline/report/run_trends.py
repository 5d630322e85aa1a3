"""Trends over the runs of one config name: accuracy, confirmed slices, and each slice's errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.figures.charts import (
    ChartAxis,
    ChartLine,
    build_number_axis,
    build_share_axis,
    draw_line_chart,
    draw_sparkline,
)
from pipeline.report.sentences.number_format import format_percent

MAX_TREND_RUNS = 60  # points of a trend line that can still be told apart
MIN_SLICE_AXIS = 4.0  # least height of the axis of confirmed slices: whole numbers on its ticks
AXIS_MARGIN = 0.02  # room of an axis of shares below its lowest value
MAX_AXIS_TICKS = 8
_RUN_ID_PATTERN = re.compile(r"\d{8}-\d{6}-(.+?)(?:-\d+)?")
RunRow = Mapping[str, Any]


def extract_run_name(run_id: str) -> str:
    """Return the config's name in a run id; empty if there is none.

    >>> extract_run_name("20260301-224001-gate"), extract_run_name("20260301-224001-gate-2")
    ('gate', 'gate')
    """
    match = _RUN_ID_PATTERN.fullmatch(run_id)
    return match[1] if match else ""


def group_trends(rows: Sequence[RunRow]) -> list[dict[str, Any]]:
    """Return name, charts and slices for each name that two runs or more have, latest first.

    Args:
        rows: of readable runs, newest first: run_id, val_before, val_after, slices, followed.
    """
    rows_by_name: dict[str, list[RunRow]] = {}
    for row in rows:
        rows_by_name.setdefault(extract_run_name(row["run_id"]), []).append(row)
    trends = []
    for name, named_rows in rows_by_name.items():
        charts = _draw_trend_charts(named_rows)
        if charts:
            slices = _list_slice_trends(named_rows[0]["followed"])
            trends.append({"name": name, "charts": charts, "slices": slices})
    return trends


def _list_slice_trends(followed: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the error rate of each followed slice over the runs, as the latest run has it.

    A record that cannot be read is left out.
    """
    slices = []
    for track in followed:
        try:
            title = str(track.get("title") or track["words"])
            errors = [point["error"]["value"] for point in track["history"]]
            known = [float(error) for error in errors if error is not None]
            state = str(track["state"])
        except (AttributeError, LookupError, TypeError, ValueError):
            continue
        if not known:
            continue
        words = f"{format_percent(known[0], 0)} → {format_percent(known[-1], 0)}"
        alt_text = f"Error rate of {title}, run by run: {words}"
        sparkline = draw_sparkline(errors, alt_text)
        slices.append({"title": title, "state": state, "words": words, "svg": sparkline})
    return slices


def _list_trend_points(rows: Sequence[RunRow], key: str) -> list[tuple[float, float]]:
    return [(float(k), row[key]) for k, row in enumerate(rows) if row[key] is not None]


def _draw_trend_charts(rows: Sequence[RunRow]) -> list[dict[str, Any]]:
    """Return charts of validation accuracy and confirmed slices, run by run, oldest first."""
    latest = rows[:MAX_TREND_RUNS][::-1]
    if len(latest) < 2:
        return []
    step = max(1, -(-len(latest) // MAX_AXIS_TICKS))
    ticks = [(float(k), str(k + 1)) for k in range(0, len(latest), step)]
    x = ChartAxis(0, len(latest) - 1, ticks, "run, oldest first")
    before = _list_trend_points(latest, "val_before")
    after = _list_trend_points(latest, "val_after")
    lowest = min([accuracy for _, accuracy in before + after], default=0.0)
    accuracy_chart = draw_line_chart(
        [ChartLine("before", before, "b"), ChartLine("after", after, "a")],
        x,
        build_share_axis(lowest - AXIS_MARGIN),
        "Accuracy on validation, run by run",
    )
    slice_counts = [(float(k), float(len(row["slices"]))) for k, row in enumerate(latest)]
    highest = max(MIN_SLICE_AXIS, *(count for _, count in slice_counts))
    slice_chart = draw_line_chart(
        [ChartLine("slices", slice_counts, "a")],
        x,
        build_number_axis(highest, ""),
        "Confirmed slices, run by run",
    )
    charts = [{"title": "Confirmed slices", "svg": slice_chart}]
    if accuracy_chart:
        charts.insert(0, {"title": "Accuracy on validation", "svg": accuracy_chart})
    return charts
