"""Loss and accuracy by step on training images and holdout, and the gap between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup

from pipeline.report.figures.charts import (
    ChartLine,
    ChartMark,
    build_number_axis,
    build_share_axis,
    draw_line_chart,
)
from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage
from pipeline.report.sentences.training_sentences import describe_training

TITLE = "Training curves"
AXIS_MARGIN = 0.02  # room of an axis of shares below its lowest value
_LINES = (("train", "training", "b"), ("holdout", "holdout", "a"))
_MARKS = (("best_step", "kept"), ("overfitting_from", "overfitting"))


def render(page: ReportPage) -> Markup:
    """Return the training curves with the gap, the early stop and the judgment."""
    training, history = page["training"], page["history"]
    curves = []
    if not history.empty:
        for metric in ("accuracy", "loss"):
            svg = _draw_training_curve(history, training, metric)
            curves.append({"metric": metric, "svg": svg})
    return render_template(
        "training_curves.html",
        training=training,
        judgment=describe_training(training),
        curves=curves,
        accuracy=_get_kept_accuracy(history, training.get("best_step")),
    )


def _draw_training_curve(history: pd.DataFrame, training: Mapping[str, Any], metric: str) -> Markup:
    table = history.sort_values("step")
    lines = []
    for split, name, style in _LINES:
        rows = table[table["split"] == split].dropna(subset=[metric])
        points = list(zip(rows["step"].astype(float), rows[metric].astype(float), strict=True))
        lines.append(ChartLine(name, points, style))
    if metric == "accuracy":
        y = build_share_axis(float(table[metric].min()) - AXIS_MARGIN)
    else:
        y = build_number_axis(float(table[metric].max()), "")
    marks = []
    for key, label in _MARKS:
        if training.get(key) is not None:
            marks.append(ChartMark(float(training[key]), label))
    x = build_number_axis(float(table["step"].max()), "step", is_tight=True)
    alt_text = f"{metric.capitalize()} by step, training and holdout"
    return draw_line_chart(lines, x, y, alt_text, marks, has_gap_shading=True)


def _get_kept_accuracy(history: pd.DataFrame, kept_step: int | None) -> dict[str, float] | None:
    """Return the accuracy on training images and holdout at the last step up to the kept one."""
    table = history if kept_step is None else history[history["step"] <= kept_step]
    last = table.sort_values("step").drop_duplicates("split", keep="last")
    accuracy = last.set_index("split")["accuracy"]
    if not {"train", "holdout"} <= set(accuracy.index):
        return None
    return {"train": float(accuracy["train"]), "holdout": float(accuracy["holdout"])}
