"""What arrived against the data of the champion: slices that grew, attributes that moved, and what is new."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from pipeline.report import charts as c
from pipeline.report.report_page import ReportPage, render_template
from pipeline.report.slice_cards import format_rule

TITLE = "What arrived"
MAX_ATTRIBUTE_CHARTS = 4  # attributes that are drawn, the most drifted first


def render(page: ReportPage) -> Markup:
    """Newly arrived images against the data of the champion that was in force; left out where there was none."""
    found = page["drift"]
    return render_drift(found) if found["champion"] else Markup("")


def render_drift(drift_record: Mapping[str, Any]) -> Markup:
    """The artifact `drift` (see `pipeline.slices.tracking.traffic_comparison.compare`) as HTML: conditions, slices, attributes, new."""
    failed = sum(not item["passed"] for item in drift_record["conditions"])
    plots = [
        {"row": row, "svg": _draw_attribute_spread(row)}
        for row in drift_record["attributes"]
        if row["psi"]
    ]
    titles = {
        row["slice"]: (row.get("title") or row["words"], format_rule(row["rule"]))
        for row in drift_record["slices"]
    }
    return render_template(
        "traffic_drift.html",
        found=drift_record,
        failed=failed,
        plots=plots[:MAX_ATTRIBUTE_CHARTS],
        titles=titles,
    )


def _draw_attribute_spread(attribute_row: Mapping[str, Any]) -> Markup:
    """How an attribute is spread in training, validation and what arrived: shares by the tenths of what is known."""
    lines = [
        c.ChartLine(side, [(float(k), n / max(sum(counts), 1)) for k, n in enumerate(counts)], tone)
        for (side, counts), tone in zip(attribute_row["counts"].items(), "bca", strict=True)
    ]
    most = max(share for line in lines for _, share in line.points)
    y = c.build_number_axis(100 * most, "")
    shares = c.ChartAxis(0.0, y.high / 100, [(v / 100, f"{text} %") for v, text in y.ticks], "")
    last = max(len(attribute_row["edges"]), 1)
    ticks = [(k + 0.5, text) for k, text in enumerate(attribute_row["edges"]) if k % 3 == 0]
    alt = f"{attribute_row['attribute']}: share of the images of training, validation and of those that arrived, bin by bin"
    return c.draw_line_chart(
        lines, c.ChartAxis(0.0, float(last), ticks, attribute_row["attribute"]), shares, alt
    )
