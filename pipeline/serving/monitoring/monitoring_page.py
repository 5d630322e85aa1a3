"""The page of a monitoring: findings, history and the next labeling batch, in the report's frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.report import charts as c
from pipeline.report.number_format import TEMPLATE_FILTERS
from pipeline.report.page_rendering import render_document
from pipeline.report.sections.traffic_drift import render_drift
from pipeline.serving.monitoring import monitoring_history

MAX_BATCH_ROWS = 50  # images of the batch on the page
MAX_CHART_RUNS = 60  # runs on the charts
MAX_CHART_LINES = 4  # attributes drawn, those that moved most this time

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
)
_ENVIRONMENT.filters.update(TEMPLATE_FILTERS)


def _render_template(template: str, **values: Any) -> Markup:
    return Markup(_ENVIRONMENT.get_template(template).render(**values))


def _draw_history_chart(
    table: pd.DataFrame, line_names: Mapping[str, str], alt_text: str, is_share: bool
) -> Markup:
    """The columns of the history as lines, named as `names` says; empty below two runs."""
    series = monitoring_history.extract_series(table, list(line_names))
    lines = [
        c.ChartLine(line_names[n], points, tone)
        for (n, points), tone in zip(series.items(), "abcd", strict=False)
    ]
    if len(table) < 2 or not lines:
        return Markup("")
    most = max(max(y for _, y in line.points) for line in lines)
    y = (
        c.build_number_axis(100 * max(most, 0.04), "")
        if is_share
        else c.build_number_axis(max(most, 0.2), "")
    )
    axis = (
        c.ChartAxis(0.0, y.high / 100, [(v / 100, f"{text} %") for v, text in y.ticks], "")
        if is_share
        else y
    )
    step = max(1, -(-len(table) // 8))
    ticks = [(float(k), str(k)) for k in range(1, len(table) + 1, step)]
    return c.draw_line_chart(
        lines, c.ChartAxis(1.0, float(len(table)), ticks, "monitored, oldest first"), axis, alt_text
    )


def _render_history(findings: Mapping[str, Any], history_table: pd.DataFrame) -> Markup:
    last = history_table.tail(MAX_CHART_RUNS).reset_index(drop=True)
    moved = {
        f"psi {r['attribute']}": r["attribute"] for r in findings["attributes"][:MAX_CHART_LINES]
    }
    shares = {
        "declined": "declined",
        "beyond": "beyond",
        **{f"slice {r['slice']}": r["slice"] for r in findings["slices"][:2]},
    }
    charts = (
        (
            "Shares of the images",
            _draw_history_chart(
                last, shares, "Shares of declined, new and slice images, run by run", True
            ),
        ),
        (
            "PSI of the attributes that moved most",
            _draw_history_chart(last, moved, "PSI of attributes, run by run", False),
        ),
    )
    rows = [
        {k: None if pd.isna(v) else v for k, v in row.items()}
        for row in last[::-1].to_dict("records")
    ]
    most = [
        max(
            (v for k, v in row.items() if str(k).startswith("psi ") and v is not None), default=None
        )
        for row in rows
    ]
    return _render_template(
        "monitoring_history.html",
        rows=list(zip(rows, most, strict=True)),
        charts=[x for x in charts if x[1]],
    )


def render_monitoring_page(
    findings: Mapping[str, Any], batch_rows: pd.DataFrame, history_table: pd.DataFrame
) -> str:
    """The whole page as offline HTML. chosen: the batch; past: the history with this run in it."""
    told = batch_rows.head(MAX_BATCH_ROWS).to_dict("records")
    parts = (
        (
            "drift",
            "What arrived",
            render_drift(findings) + _render_template("traffic_answers.html", found=findings),
        ),
        ("history", "History", _render_history(findings, history_table)),
        (
            "batch",
            "The next labeling batch",
            _render_template("labeling_batch.html", rows=told, n=len(batch_rows)),
        ),
    )
    sections = [
        {"name": n, "title": title, "own_heading": False, "body": body} for n, title, body in parts
    ]
    return render_document("Monitoring, Nightshift", str(findings["champion"]), sections=sections)
