"""How sure the model may be: reliability diagram, calibration error, and what declining unsure photos buys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from pipeline.sections import Page, draw
from pipeline.sections import charts as c
from pipeline.sections.results import opened
from pipeline.sections.slice_view import rule_words
from pipeline.sections.words import number, percent

TITLE = "How sure it is"
_MODELS = {"before": "the model before", "targeted": "the retrained model"}
STEPS = 200  # points of the curve of coverage and error


def calibration(page: Page) -> Markup:
    """The reliability diagram with its table, ECE and temperature; the decline rule's curve."""
    record = page["metrics"].get("calibration") or {}
    bins = record.get("bins") or []
    curve = coverage(page["predictions"])
    if not bins and curve.empty:
        return Markup("")
    rule = page["policy"].get("decline") or {}
    return draw(
        "calibration.html",
        bins=bins,
        diagram=_diagram(bins),
        ece=record.get("ece"),
        temperature=record.get("temperature"),
        rule=rule,
        curve=_curve(curve, rule),
        rows=_rows(curve),
        sure=_sure(bins),
        served=served(page),
        corrected=corrected(page),
        missed=missed(page),
    )


def missed(page: Page) -> list[dict[str, Any]]:
    """By how much confidence misses accuracy before and after, on each split that was looked at: split, n, and the
    calibration error of the model before and, where one was trained, of the retrained one (first seed)."""
    rows = []
    for _, word, record in opened(page):
        errors = {arm: record["arms"][arm][0]["calibration"]["ece"] for arm in _MODELS if record["arms"].get(arm)}
        rows.append({"split": word.lower(), "n": record["n"], **dict.fromkeys(_MODELS), **errors})
    return rows if page.changed else []


def served(page: Page) -> list[dict[str, Any]]:
    """The decline rule of each model that may be in force: its arm, whether it is in force, threshold, and coverage and
    error on val and on the sealed test."""
    arm = "targeted" if page["verdict"]["promoted"] else "before"
    rules = page["comparison"]["decline"]
    return [{**rule, "arm": name, "model": _MODELS[name], "in_force": name == arm} for name, rule in rules.items()]


def corrected(page: Page) -> list[dict[str, Any]]:
    """What each correction of photos brings each model that may be in force, on val."""
    of = {c["slice"]: c for c in page["policy"]["corrections"]}
    rows = page["comparison"]["corrections"]["val"]
    known = [r for r in rows if r["slice"] in of]
    when = {name: rule_words(correction["when"]) for name, correction in of.items()}
    return [{**of[r["slice"]], **r, "when": when[r["slice"]], "model": _MODELS[r["arm"]]} for r in known]


def coverage(predictions: pd.DataFrame) -> pd.DataFrame:
    """Share answered and error among the answered when the least sure photos are declined: columns coverage, error,
    threshold (the lowest confidence answered), from the surest photo on.

    Source: El-Yaniv and Wiener 2010 (the risk-coverage curve), on validation.
    """
    table = predictions.sort_values("confidence", ascending=False, kind="stable")
    order = np.arange(1, len(table) + 1)
    wrong = np.cumsum(~table["correct"].to_numpy(bool))
    shares = {"coverage": order / max(len(table), 1), "error": wrong / order, "threshold": table["confidence"]}
    return pd.DataFrame(shares).reset_index(drop=True)


def _sure(bins: list[dict[str, Any]]) -> str:
    """Whether the model is too sure, not sure enough, or neither, in words."""
    n = sum(b["n"] for b in bins)
    gap = sum(b["n"] * (b["confidence"] - b["accuracy"]) for b in bins) / n if n else 0.0
    if abs(gap) < 0.01:
        return "on average as sure as it is right"
    return "too sure" if gap > 0 else "less sure than it may be"


def _diagram(bins: list[dict[str, Any]]) -> Markup:
    points = [(float(b["confidence"]), float(b["accuracy"])) for b in bins]
    low = min([min(x, y) for x, y in points] or [0.0])
    y = c.shares(low - 0.02)
    x = c.Axis(y.low, 1.0, y.ticks, "confidence")
    lines = [c.Line("perfect", [(y.low, y.low), (1.0, 1.0)], "b"), c.Line("this model", points, "a")]
    return c.line_chart(lines, x, y, "Reliability diagram: share right against confidence") if points else Markup("")


def _thinned(curve: pd.DataFrame) -> pd.DataFrame:
    if len(curve) <= STEPS:
        return curve
    return curve.iloc[np.unique(np.linspace(0, len(curve) - 1, STEPS).astype(int))]


def _curve(curve: pd.DataFrame, rule: dict[str, Any]) -> Markup:
    if curve.empty:
        return Markup("")
    thin = _thinned(curve[curve["coverage"] >= min(0.05, curve["coverage"].max())])
    points = [(float(a), float(b)) for a, b in zip(thin["coverage"], thin["error"], strict=True)]
    high = max(max(e for _, e in points), float(rule.get("target_error") or 0.0), 0.01)
    scale = c.numbers(100 * high, "")
    y = c.Axis(0.0, scale.high / 100, [(v / 100, f"{text} %") for v, text in scale.ticks], "")
    x = c.Axis(0.0, 1.0, [(k / 4, percent(k / 4, 0)) for k in range(5)], "share of photos answered")
    answered = rule.get("coverage")
    marks = [c.Mark(float(answered), f"answers {percent(answered, 0)}")] if answered else []
    return c.line_chart([c.Line("error", points, "a")], x, y, "Error among answered photos by share answered", marks)


def _rows(curve: pd.DataFrame) -> list[dict[str, str]]:
    if curve.empty:
        return []
    at = [min(len(curve) - 1, int(np.ceil(share * len(curve))) - 1) for share in (0.5, 0.7, 0.8, 0.9, 0.95, 1.0)]
    rows = curve.iloc[sorted({max(k, 0) for k in at})].to_dict("records")
    return [
        {"answered": percent(r["coverage"]), "error": percent(r["error"]), "threshold": number(r["threshold"])}
        for r in rows
    ]
