"""Slices over the runs of one name: state, first run, figures of this run, and trend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from pipeline.domain.statuses import TrackState
from pipeline.report.figures.charts import draw_sparkline
from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage
from pipeline.report.sentences.number_format import count_slice_states, format_percent, format_rule
from pipeline.report.sentences.trend_sentences import describe_trend

TITLE = "Slice trends"
TAB = "Slices"
_CLASSES_OF_STATE = {
    TrackState.CLOSED: "held",
    TrackState.SHRINKING: "held",
    TrackState.NEW: "failed",
    TrackState.BACK: "failed",
    TrackState.GROWING: "failed",
}


def render(page: ReportPage) -> Markup:
    """Return every slice that a run of this name confirmed; empty for the first run of a name."""
    followed = page["followed"]
    if not followed["previous"]:
        return Markup("")
    return render_template(
        "slice_trends.html",
        trends=list(map(_build_trend_row, followed["slices"])),
        previous=followed["previous"],
        counts=count_slice_states(followed["slices"]),
    )


def _build_trend_row(trend: Mapping[str, Any]) -> dict[str, Any]:
    title = trend.get("title") or trend["words"]
    errors = [observation["error"]["value"] for observation in trend["history"]]
    alt_text = f"{title}: error rate over {len(errors)} runs, {_describe_range(errors)}"
    return {
        **trend,
        "title": title,
        "why": describe_trend(trend),
        "css_class": _CLASSES_OF_STATE.get(trend["state"], "unknown"),
        "rule_text": format_rule(trend["rule"]),
        "sparkline": draw_sparkline(errors, alt_text),
    }


def _describe_range(errors: list[float | None]) -> str:
    known = [error for error in errors if error is not None]
    if not known:
        return "unknown"
    return f"from {format_percent(known[0], 0)} to {format_percent(known[-1], 0)}"
