"""Newly arrived images against the champion's data: slices, attributes and new values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from pipeline.report.figures.charts import ChartAxis, ChartLine, build_percent_axis, draw_line_chart
from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage
from pipeline.report.sentences.number_format import format_plugin_name, format_rule
from pipeline.report.sentences.traffic_sentences import add_drift_texts, describe_condition

TITLE = "Traffic drift"
TAB = "Data"
MAX_ATTRIBUTE_CHARTS = 4  # charts that fit a screen, of the attributes that drifted most
_LINE_STYLES = "bca"  # of training, validation and arrived
_TICK_STEP = 3  # label every third bin edge, so that the labels do not overlap


def render(page: ReportPage) -> Markup:
    """Return the arrived images against the champion's data; empty without a champion."""
    drift = page["drift"]
    return render_drift(add_drift_texts(drift)) if drift["champion"] else Markup("")


def render_drift(drift: Mapping[str, Any]) -> Markup:
    """Return a comparison as HTML: conditions, new values, slices and attributes.

    Args:
        drift: the return value of `add_drift_texts`.
    """
    conditions = []
    for condition in drift["conditions"]:
        text = describe_condition(condition)
        conditions.append({"text": text, "is_passed": condition["passed"]})
    slices = []
    for row in drift["slices"]:
        title, rule_text = row.get("title") or row["words"], format_rule(row["rule"])
        slices.append({**row, "title": title, "rule_text": rule_text})
    drifted = [row for row in drift["attributes"] if row["psi"]]
    return render_template(
        "traffic_drift.html",
        drift=drift,
        conditions=conditions,
        failed_count=sum(not condition["is_passed"] for condition in conditions),
        slices=slices,
        charts=list(map(_draw_attribute_chart, drifted[:MAX_ATTRIBUTE_CHARTS])),
    )


def _draw_attribute_chart(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the distribution of an attribute over ten bins of the known values."""
    name = format_plugin_name(row["attribute"])
    lines = []
    for (source, counts), style in zip(row["counts"].items(), _LINE_STYLES, strict=True):
        if sum(counts):
            shares = (np.array(counts) / sum(counts)).tolist()
            points = [(float(k), share) for k, share in enumerate(shares)]
            lines.append(ChartLine(source, points, style))
    highest = max(share for line in lines for _, share in line.points)
    edges = list(enumerate(row["edges"]))[::_TICK_STEP]
    ticks = [(k + 0.5, text) for k, text in edges]
    x = ChartAxis(0.0, float(max(len(row["edges"]), 1)), ticks, name)
    alt_text = f"{name}: share of training, validation and arrived images in each bin"
    svg = draw_line_chart(lines, x, build_percent_axis(highest), alt_text)
    return {"name": name, "svg": svg}
