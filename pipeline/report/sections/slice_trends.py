"""Slices over the runs: since when each is known, whether it grows, shrinks, is closed or is back, and its trend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from pipeline.domain.statuses import TrackState
from pipeline.report.charts import draw_sparkline
from pipeline.report.number_format import count_slice_states
from pipeline.report.report_page import ReportPage, render_template
from pipeline.report.slice_cards import format_rule

TITLE = "Slices over the runs"
_STATE_TONES = {TrackState.CLOSED: "held", TrackState.SHRINKING: "held"}
_STATE_TONES |= dict.fromkeys((TrackState.NEW, TrackState.BACK, TrackState.GROWING), "failed")


def render(page: ReportPage) -> Markup:
    """Every slice that this run or an earlier one of its name confirmed; left out where there was none before it."""
    found = page["followed"]
    if not found["previous"]:
        return Markup("")
    rows = [_build_trend_row(track) for track in found["slices"]]
    return render_template(
        "slice_trends.html",
        rows=rows,
        previous=found["previous"],
        counts=count_slice_states(found["slices"]),
    )


def _build_trend_row(track: Mapping[str, Any]) -> dict[str, Any]:
    title, points = (
        track.get("title") or track["words"],
        [p["error"]["value"] for p in track["history"]],
    )
    known = [p for p in points if p is not None]
    alt = f"{title}: share misread over {len(points)} runs, from {_format_share(known, 0)} to {_format_share(known, -1)}"
    return {
        **track,
        "title": title,
        "tone": _STATE_TONES.get(track["state"], "unknown"),
        "rule_words": format_rule(track["rule"]),
        "spark": draw_sparkline(points, alt),
    }


def _format_share(shares: list[float], position: int) -> str:
    return f"{shares[position]:.0%}" if shares else "unknown"
