"""How the model learnt: loss and accuracy on training photos and on the holdout, and the gap between them."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from pipeline.sections import Page, draw
from pipeline.sections import charts as c

TITLE = "How it learnt"


def training(page: Page) -> Markup:
    """Training curves with the gap, the early stop and the judgement."""
    record, history = page["training"], page["history"]
    curves = [_curve(history, record, "accuracy"), _curve(history, record, "loss")]
    return draw(
        "training.html", record=record, curves=[x for x in curves if x], gap=_gap(history, record.get("best_step"))
    )


def _curve(history: pd.DataFrame, record: dict[str, Any], what: str) -> dict[str, Any] | None:
    if history.empty:
        return None
    table = history.sort_values("step")
    lines = [
        c.Line(word, [(float(a), float(b)) for a, b in zip(rows["step"], rows[what], strict=True) if b == b], tone)
        for split, word, tone in (("train", "training", "b"), ("holdout", "holdout", "a"))
        if len(rows := table[table["split"] == split])
    ]
    x = c.numbers(float(table["step"].max()), "step", tight=True)
    low, high = float(table[what].min()), float(table[what].max())
    y = c.shares(low - 0.02) if what == "accuracy" else c.numbers(high, "")
    steps = (("best_step", "kept"), ("overfitting_from", "overfitting"))
    marks = [c.Mark(float(record[k]), word) for k, word in steps if record.get(k) is not None]
    return {
        "what": what,
        "svg": c.line_chart(lines, x, y, f"{what.capitalize()} by step, training and holdout", marks, gap=True),
    }


def _gap(history: pd.DataFrame, step: int | None) -> dict[str, float] | None:
    """Accuracy on training photos and on the holdout at the step that was kept (the last before it)."""
    table = history if step is None else history[history["step"] <= step]
    last = table.sort_values("step").drop_duplicates("split", keep="last").set_index("split")["accuracy"]
    if not {"train", "holdout"} <= set(last.index):
        return None
    return {"train": float(last["train"]), "holdout": float(last["holdout"])}
