"""How the model learnt: loss and accuracy on training images and on the holdout, and the gap between them."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from pipeline.report import charts as c
from pipeline.report.report_page import ReportPage, render_template

TITLE = "How it learnt"


def render(page: ReportPage) -> Markup:
    """Training curves with the gap, the early stop and the judgement."""
    record, history = page["training"], page["history"]
    curves = [
        _draw_training_curve(history, record, "accuracy"),
        _draw_training_curve(history, record, "loss"),
    ]
    return render_template(
        "training_curves.html",
        record=record,
        curves=[x for x in curves if x],
        gap=_compute_accuracy_gap(history, record.get("best_step")),
    )


def _draw_training_curve(
    history: pd.DataFrame, record: dict[str, Any], metric: str
) -> dict[str, Any] | None:
    if history.empty:
        return None
    table = history.sort_values("step")
    lines = [
        c.ChartLine(
            word,
            [
                (float(a), float(b))
                for a, b in zip(rows["step"], rows[metric], strict=True)
                if b == b
            ],
            tone,
        )
        for split, word, tone in (("train", "training", "b"), ("holdout", "holdout", "a"))
        if len(rows := table[table["split"] == split])
    ]
    x = c.build_number_axis(float(table["step"].max()), "step", is_tight=True)
    low, high = float(table[metric].min()), float(table[metric].max())
    y = c.build_share_axis(low - 0.02) if metric == "accuracy" else c.build_number_axis(high, "")
    steps = (("best_step", "kept"), ("overfitting_from", "overfitting"))
    marks = [c.ChartMark(float(record[k]), word) for k, word in steps if record.get(k) is not None]
    return {
        "what": metric,
        "svg": c.draw_line_chart(
            lines,
            x,
            y,
            f"{metric.capitalize()} by step, training and holdout",
            marks,
            has_gap_shading=True,
        ),
    }


def _compute_accuracy_gap(history: pd.DataFrame, kept_step: int | None) -> dict[str, float] | None:
    """Accuracy on training images and on the holdout at the step that was kept (the last before it)."""
    table = history if kept_step is None else history[history["step"] <= kept_step]
    last = (
        table.sort_values("step")
        .drop_duplicates("split", keep="last")
        .set_index("split")["accuracy"]
    )
    if not {"train", "holdout"} <= set(last.index):
        return None
    return {"train": float(last["train"]), "holdout": float(last["holdout"])}
