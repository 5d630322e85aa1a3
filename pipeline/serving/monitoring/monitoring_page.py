"""The page of a monitoring: findings, history and the next labeling batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup

from pipeline.report.figures.charts import (
    ChartAxis,
    ChartLine,
    build_number_axis,
    build_percent_axis,
    draw_line_chart,
)
from pipeline.report.page_rendering import RenderedSection, render_document
from pipeline.report.page_templates import render_template
from pipeline.report.sections.traffic_drift import render_drift
from pipeline.serving.monitoring.monitoring_history import (
    DECLINED_COLUMN,
    NOVEL_COLUMN,
    PSI_PREFIX,
    SLICE_PREFIX,
    extract_series,
)

# Images of the batch that the page lists; batch.csv holds all of them.
MAX_BATCH_ROWS = 50
# Runs on a chart: more points than this cannot be told apart.
MAX_CHART_RUNS = 60
# Lines on a chart: as many as there are line styles.
MAX_CHART_LINES = 4
_LINE_STYLES = "abcd"
# Ticks of the horizontal axis, at most: more labels would overlap.
_MAX_TICKS = 8
# Smallest upper ends of the vertical axes, so that noise does not fill a chart.
_MIN_SHARE_AXIS = 0.04
_MIN_PSI_AXIS = 0.2


def _draw_history_chart(
    history: pd.DataFrame, line_names: Mapping[str, str], alt_text: str, is_share: bool
) -> Markup:
    """Return columns of the history as lines, empty if there are fewer than two runs.

    Args:
        history: the history, oldest run first.
        line_names: name of each line by its column.
        alt_text: description of the chart.
        is_share: whether the values are shares rather than plain numbers.
    """
    lines = []
    for (column, points), style in zip(
        extract_series(history, list(line_names)).items(), _LINE_STYLES, strict=False
    ):
        lines.append(ChartLine(line_names[column], points, style))
    if len(history) < 2 or not lines:
        return Markup("")
    highest = max(value for line in lines for _, value in line.points)
    if is_share:
        y = build_percent_axis(max(highest, _MIN_SHARE_AXIS))
    else:
        y = build_number_axis(max(highest, _MIN_PSI_AXIS), "")
    step = -(-len(history) // _MAX_TICKS)
    ticks = [(float(k), str(k)) for k in range(1, len(history) + 1, step)]
    x = ChartAxis(1.0, float(len(history)), ticks, "monitored, oldest first")
    return draw_line_chart(lines, x, y, alt_text)


def _render_history(findings: Mapping[str, Any], history: pd.DataFrame) -> Markup:
    recent = history.tail(MAX_CHART_RUNS).reset_index(drop=True)
    share_names = {DECLINED_COLUMN: "declined", NOVEL_COLUMN: "new"}
    for row in findings["slices"][: MAX_CHART_LINES - 2]:
        share_names[SLICE_PREFIX + row["slice"]] = row["slice"]
    psi_names = {}
    for row in findings["attributes"][:MAX_CHART_LINES]:
        psi_names[PSI_PREFIX + row["attribute"]] = row["attribute"]
    charts = {
        "Shares of the images": _draw_history_chart(
            recent, share_names, "Shares of declined, new and slice images, run by run", True
        ),
        "PSI of the attributes that moved most": _draw_history_chart(
            recent, psi_names, "PSI of attributes, run by run", False
        ),
    }
    psi_columns = [column for column in recent if str(column).startswith(PSI_PREFIX)]
    recent["largest_psi"] = recent[psi_columns].max(axis=1) if psi_columns else None
    newest_first = recent[::-1].astype("object")
    return render_template(
        "monitoring_history.html",
        rows=newest_first.where(newest_first.notna(), None).to_dict("records"),
        charts=[(title, svg) for title, svg in charts.items() if svg],
    )


def render_monitoring_page(
    findings: Mapping[str, Any], batch: pd.DataFrame, history: pd.DataFrame
) -> str:
    """Return the whole page as offline HTML.

    Args:
        findings: as `monitor_traffic` returns them.
        batch: the next labeling batch.
        history: the history, this monitoring included.
    """
    answers = render_template("traffic_answers.html", found=findings)
    listed = batch.head(MAX_BATCH_ROWS).to_dict("records")
    batch_list = render_template("labeling_batch.html", rows=listed, n=len(batch))
    sections = [
        RenderedSection("drift", "What arrived", render_drift(findings) + answers),
        RenderedSection("history", "History", _render_history(findings, history)),
        RenderedSection("batch", "The next labeling batch", batch_list),
    ]
    return render_document("Monitoring, Nightshift", str(findings["champion"]), sections=sections)
