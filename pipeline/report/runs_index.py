"""`reports/index.html`: every run with its verdict, accuracy and slices, and their trends.

A summary may come from any version, or be damaged. No value is taken for granted; a run whose
summary cannot be read is listed as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from pipeline.domain.statuses import SliceStatus
from pipeline.report.figures.charts import (
    ChartAxis,
    ChartLine,
    build_number_axis,
    build_share_axis,
    draw_line_chart,
)
from pipeline.report.page_rendering import render_document
from pipeline.report.page_templates import render_template
from pipeline.report.sentences.gate_sentences import split_headline
from pipeline.report.sentences.number_format import (
    count_slice_states,
    embed_json,
    format_percent,
    set_minus_signs,
)
from pipeline.report.sentences.verdict_rows import choose_banner_class, choose_outcome_text

MAX_TREND_RUNS = 60  # points of a trend line that can still be told apart
MAX_TREND_NAMES = 4  # names of runs with a trend, so that the list stays in sight
MIN_SLICE_AXIS = 4.0  # least height of the axis of confirmed slices: whole numbers on its ticks
AXIS_MARGIN = 0.02  # room of an axis of shares below its lowest value
MAX_AXIS_TICKS = 8
_RUN_ID_PATTERN = re.compile(r"\d{8}-\d{6}-(.+?)(?:-\d+)?")
_CLASSES_OF_STATE = {"promoted": "held", "refused": "failed"}
RunRow = dict[str, Any]


def render_runs_index(summaries: Iterable[Mapping[str, Any]]) -> str:
    """Return the list of all runs, in the given order (newest first).

    Each run links to `<run_id>/index.html`.
    """
    rows, readable, compared = [], [], []
    for summary in summaries:
        row = _build_run_row(summary)
        rows.append(row)
        if row["href"]:
            readable.append(row)
            lines = _list_comparison_lines(row, summary)
            compared.append({"run_id": row["run_id"], "lines": lines})
    introduction = render_template(
        "runs_index.html",
        rows=rows,
        trends=_group_trends(readable),
        runs=compared,
        first_pair=_choose_compared_runs(readable),
    )
    data = embed_json({"kind": "runs", "runs": compared})
    return render_document(
        "All runs, Nightshift",
        "All runs",
        introduction=introduction,
        data=data,
        scripts=("runs_index.js",),
    )


def _get_nested(record: Any, *keys: str) -> Any:
    """Return the value under nested keys, or None."""
    for key in keys:
        record = record.get(key) if isinstance(record, Mapping) else None
    return record


def _get_list(record: Any, key: str) -> list[Any]:
    value = _get_nested(record, key)
    return value if isinstance(value, list) else []


def _parse_number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _read_accuracy(summary: Any, split: str, arm: str) -> float | None:
    return _parse_number(_get_nested(summary, "metrics", split, "accuracy", arm, "value"))


def _choose_split(summary: Any) -> str:
    """Return the split with the strongest evidence; empty without any."""
    for split in ("test", "val"):
        if isinstance(_get_nested(summary, "metrics", split), Mapping):
            return split
    return ""


def _build_run_row(summary: Any) -> RunRow:
    run_id = _get_nested(summary, "run_id")
    is_promoted = _get_nested(summary, "verdict", "promoted")
    name = str(run_id) if run_id else ""
    if not name or name in (".", "..") or not isinstance(is_promoted, bool):
        return {
            "run_id": name or "A run",
            "href": "",
            "outcome": "Unreadable",
            "state_class": "unknown",
            "headline": "",
            "slices": [],
            "slice_states": "",
            "split": "",
        }
    outcome = _get_nested(summary, "verdict", "outcome")
    outcome = outcome if isinstance(outcome, str) else None
    split = _choose_split(summary)
    banner_class = choose_banner_class(is_promoted, outcome)
    headline = str(_get_nested(summary, "verdict", "headline") or "")
    return {
        "run_id": name,
        "href": f"{quote(name, safe='')}/index.html",
        "outcome": choose_outcome_text(is_promoted, outcome),
        "state_class": _CLASSES_OF_STATE.get(banner_class, "unknown"),
        "split": split,
        "before": _read_accuracy(summary, split, "before"),
        "after": _read_accuracy(summary, split, "after"),
        "val_before": _read_accuracy(summary, "val", "before"),
        "val_after": _read_accuracy(summary, "val", "after"),
        "headline": set_minus_signs(split_headline(headline, outcome, is_promoted).detail),
        "slices": list(map(_get_title, _list_confirmed_slices(summary))),
        "slice_states": _summarize_states(summary),
    }


def _get_title(slice_summary: Any) -> str:
    title = _get_nested(slice_summary, "title") or _get_nested(slice_summary, "words")
    return str(title or "")


def _summarize_states(summary: Any) -> str:
    trends = _get_list(summary, "followed")
    return count_slice_states([trend for trend in trends if _get_nested(trend, "state")])


def _list_confirmed_slices(summary: Any) -> list[Any]:
    confirmed = []
    for slice_summary in _get_list(summary, "slices"):
        if _get_nested(slice_summary, "status") == SliceStatus.CONFIRMED:
            confirmed.append(slice_summary)
    return confirmed


def _build_line(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "value": None, "text": text}


def _add_share_line(lines: list[dict[str, Any]], name: str, value: float | None) -> None:
    if value is not None:
        lines.append({"name": name, "value": value, "text": format_percent(value)})


def _list_comparison_lines(row: RunRow, summary: Any) -> list[dict[str, Any]]:
    """Return the lines of a comparison of two runs: name, share (or None) and text.

    Slices are matched by their titles.
    """
    fingerprint = str(_get_nested(summary, "data", "fingerprint") or "")
    lines = [_build_line("Verdict", row["outcome"]), _build_line("Data", fingerprint)]
    for split, split_name in (("test", "test"), ("val", "validation")):
        for arm in ("before", "control", "after"):
            accuracy = _read_accuracy(summary, split, arm)
            _add_share_line(lines, f"Accuracy on {split_name}, {arm}", accuracy)
    lines.append(_build_line("Confirmed slices", str(len(row["slices"]))))
    for title, slice_summary in zip(row["slices"], _list_confirmed_slices(summary), strict=True):
        for arm in ("before", "after"):
            error = _parse_number(_get_nested(slice_summary, f"error_{arm}"))
            _add_share_line(lines, f"Error rate, {title}: {arm}", error)
    return lines


def _extract_run_name(row: RunRow) -> str:
    """Return the config's name in a run id; empty if there is none.

    It is "gate" in 20260301-224001-gate, and in 20260301-224001-gate-2.
    """
    match = _RUN_ID_PATTERN.fullmatch(row["run_id"])
    return match[1] if match else ""


def _group_trends(rows: list[RunRow]) -> list[dict[str, Any]]:
    """Return a trend for each name that two runs or more have, the latest names first."""
    rows_by_name: dict[str, list[RunRow]] = {}
    for row in rows:
        rows_by_name.setdefault(_extract_run_name(row), []).append(row)
    trends = []
    for name, named_rows in rows_by_name.items():
        charts = _draw_trend_charts(named_rows)
        if charts:
            trends.append({"name": name, "charts": charts})
    return trends[:MAX_TREND_NAMES]


def _choose_compared_runs(rows: list[RunRow]) -> tuple[int, int]:
    """Return which two runs are compared first: an earlier one and the latest.

    The earlier one is the latest of the same name, or else the one directly before.
    """
    for number, row in enumerate(rows[1:], 1):
        if _extract_run_name(row) == _extract_run_name(rows[0]):
            return number, 0
    return 1, 0


def _list_trend_points(rows: list[RunRow], key: str) -> list[tuple[float, float]]:
    return [(float(k), row[key]) for k, row in enumerate(rows) if row[key] is not None]


def _draw_trend_charts(rows: list[RunRow]) -> list[dict[str, Any]]:
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
