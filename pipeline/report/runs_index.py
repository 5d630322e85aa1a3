"""`reports/index.html`: every run with its verdict, accuracy and slices; their trend; any two of them side by side."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from pipeline.domain.statuses import SliceStatus
from pipeline.report import charts as c
from pipeline.report.number_format import count_slice_states, embed_json, format_percent
from pipeline.report.page_rendering import render_document
from pipeline.report.report_page import render_template
from pipeline.report.verdict_rows import strip_outcome

MAX_TREND_RUNS = 60  # latest runs on a trend line
MAX_TREND_NAMES = 4  # names of runs with a trend
_RUN_ID_PATTERN = re.compile(r"\d{8}-\d{6}-(.+?)(?:-\d+)?")


def render_runs_index(summaries: Iterable[Mapping[str, Any]]) -> str:
    """The list of all runs, in the order given (newest first); each links to `<run_id>/index.html`.

    A summary that cannot be read is listed as such and hides no other.
    """
    given = list(summaries)
    rows = [_build_run_row(summary) for summary in given]
    readable = [(row, summary) for row, summary in zip(rows, given, strict=True) if row["href"]]
    compared = [
        {"run_id": row["run_id"], "lines": _list_comparison_lines(row, summary)}
        for row, summary in readable
    ]
    shown = [row for row, _ in readable]
    lead = render_template(
        "runs_index.html",
        rows=rows,
        trends=_group_trends(shown),
        runs=compared,
        pair=_choose_compared_runs(shown),
    )
    data = embed_json({"kind": "runs", "runs": compared})
    return render_document("All runs, Nightshift", "All runs", lead=lead, data=data)


def _get_nested(record: Any, *keys: str) -> Any:
    for key in keys:
        record = record.get(key) if isinstance(record, Mapping) else None
    return record


def _parse_number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _read_accuracy(summary: Any, split: str, arm: str) -> float | None:
    return _parse_number(_get_nested(summary, "metrics", split, "accuracy", arm, "value"))


def _build_run_row(summary: Any) -> dict[str, Any]:
    run_id, promoted = _get_nested(summary, "run_id"), _get_nested(summary, "verdict", "promoted")
    run = str(run_id) if run_id else ""
    if not run or run in (".", "..") or not isinstance(promoted, bool):
        return {
            "run_id": run or "A run",
            "href": "",
            "word": "Unreadable",
            "tone": "nothing",
            "text": "",
            "slices": [],
            "followed": "",
            "split": None,
        }
    split = next(
        (
            key
            for key in ("test", "val")
            if isinstance(_get_nested(summary, "metrics", key), Mapping)
        ),
        None,
    )
    word = str(_get_nested(summary, "verdict", "word") or ("Promoted" if promoted else "Refused"))
    return {
        "run_id": run,
        "href": f"{quote(run, safe='')}/index.html",
        "word": word,
        "tone": word.lower() if word in ("Promoted", "Refused") else "nothing",
        "split": split,
        **{arm: _read_accuracy(summary, split or "", arm) for arm in ("before", "after")},
        "val": [_read_accuracy(summary, "val", arm) for arm in ("before", "after")],
        "text": strip_outcome(str(_get_nested(summary, "verdict", "headline") or "")),
        "slices": [
            str(_get_nested(s, "title") or _get_nested(s, "words") or "")
            for s in _list_confirmed_slices(summary)
        ],
        "followed": _summarize_states(summary),
    }


def _summarize_states(summary: Any) -> str:
    tracks = _get_nested(summary, "followed")
    return (
        count_slice_states([t for t in tracks if _get_nested(t, "state")])
        if isinstance(tracks, list)
        else ""
    )


def _list_confirmed_slices(summary: Any) -> list[Any]:
    slices = _get_nested(summary, "slices")
    return (
        [s for s in slices if _get_nested(s, "status") == SliceStatus.CONFIRMED]
        if isinstance(slices, list)
        else []
    )


def _build_share_line(name: str, value: float | None) -> dict[str, Any]:
    return {"name": name, "value": value, "text": format_percent(value)}


def _list_comparison_lines(row: Mapping[str, Any], summary: Any) -> list[dict[str, Any]]:
    """What two runs are compared in: name, share (or None), text. Slices are matched by their words."""
    fingerprint = str(_get_nested(summary, "data", "fingerprint") or "")
    lines = [
        {"name": n, "value": None, "text": t}
        for n, t in (("Verdict", row["word"]), ("Data", fingerprint))
    ]
    for split, word in (("test", "test"), ("val", "validation")):
        for arm in ("before", "control", "after"):
            value = _read_accuracy(summary, split, arm)
            if value is not None:
                lines.append(_build_share_line(f"Accuracy on {word}, {arm}", value))
    lines.append({"name": "Confirmed slices", "value": None, "text": str(len(row["slices"]))})
    for words, record in zip(row["slices"], _list_confirmed_slices(summary), strict=True):
        for when in ("before", "after"):
            value = _parse_number(_get_nested(record, f"error_{when}"))
            if value is not None:
                lines.append(_build_share_line(f"Misread, {words}: {when}", value))
    return lines


def _extract_run_name(row: Mapping[str, Any]) -> str:
    """The name that a run's config gave it: "gate" of the run 20260301-224001-gate; "" where it has none."""
    match = _RUN_ID_PATTERN.fullmatch(row["run_id"])
    return match[1] if match else ""


def _group_trends(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A trend for each name that two runs or more have, the latest names first."""
    names = list(dict.fromkeys(map(_extract_run_name, rows)))
    trends = [
        {
            "name": name,
            "charts": _draw_trend_charts([r for r in rows if _extract_run_name(r) == name]),
        }
        for name in names
    ]
    return [trend for trend in trends if trend["charts"]][:MAX_TREND_NAMES]


def _choose_compared_runs(rows: list[dict[str, Any]]) -> tuple[int, int]:
    """Which two runs are compared first: the latest one, and the one of its name before it (or just the one before)."""
    alike = [
        k
        for k, row in enumerate(rows[1:], 1)
        if _extract_run_name(row) == _extract_run_name(rows[0])
    ]
    return alike[0] if alike else 1, 0


def _draw_trend_charts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Accuracy on validation before and after, and confirmed slices, of the latest runs, oldest first."""
    latest = rows[:MAX_TREND_RUNS][::-1]
    if len(latest) < 2:
        return []
    step = max(1, -(-len(latest) // 8))
    ticks = [(k, str(k + 1)) for k in range(0, len(latest), step)]
    x = c.ChartAxis(0, len(latest) - 1, ticks, "run, oldest first")
    arms = [
        [(k, row["val"][a]) for k, row in enumerate(latest) if row["val"][a] is not None]
        for a in (0, 1)
    ]
    found = [(float(k), float(len(row["slices"]))) for k, row in enumerate(latest)]
    low = min([y for arm in arms for _, y in arm] or [0.0])
    lines = [c.ChartLine("before", arms[0], "b"), c.ChartLine("after", arms[1], "a")]
    accuracy = c.draw_line_chart(
        lines, x, c.build_share_axis(low - 0.02), "Accuracy on validation, run by run"
    )
    most = max(4.0, max(y for _, y in found))
    slices = c.draw_line_chart(
        [c.ChartLine("slices", found, "a")],
        x,
        c.build_number_axis(most, ""),
        "Confirmed slices, run by run",
    )
    pairs = (("Accuracy on validation", accuracy), ("Confirmed slices", slices))
    return [{"title": title, "svg": svg} for title, svg in pairs if svg != Markup("")]
