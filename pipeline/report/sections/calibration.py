"""How sure the model may be: reliability diagram, calibration error, and what declining unsure images buys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from pipeline.report import charts as c
from pipeline.report.number_format import format_number, format_percent
from pipeline.report.report_page import ReportPage, render_template
from pipeline.report.slice_cards import format_rule
from pipeline.report.verdict_rows import list_compared_splits

TITLE = "How sure it is"
_MODEL_NAMES = {"before": "the model before", "targeted": "the retrained model"}
MAX_CURVE_POINTS = 200  # points of the curve of coverage and error


def render(page: ReportPage) -> Markup:
    """The reliability diagram with its table, ECE and temperature; the decline rule's curve."""
    record = page["metrics"].get("calibration") or {}
    bins = record.get("bins") or []
    curve = compute_coverage_curve(page["predictions"])
    if not bins and curve.empty:
        return Markup("")
    rule = page["policy"].get("decline") or {}
    return render_template(
        "calibration.html",
        bins=bins,
        diagram=_draw_reliability_diagram(bins),
        ece=record.get("ece"),
        temperature=record.get("temperature"),
        rule=rule,
        curve=_draw_coverage_curve(curve, rule),
        rows=_build_coverage_rows(curve),
        sure=_describe_confidence_bias(bins),
        served=list_decline_rules(page),
        corrected=list_correction_gains(page),
        missed=list_calibration_errors(page),
    )


def list_calibration_errors(page: ReportPage) -> list[dict[str, Any]]:
    """By how much confidence misses accuracy before and after, on each split that was looked at: split, n, and the
    calibration error of the model before and, where one was trained, of the retrained one (first seed)."""
    rows = []
    for _, word, record in list_compared_splits(page):
        errors = {
            arm: record["arms"][arm][0]["calibration"]["ece"]
            for arm in _MODEL_NAMES
            if record["arms"].get(arm)
        }
        rows.append(
            {"split": word.lower(), "n": record["n"], **dict.fromkeys(_MODEL_NAMES), **errors}
        )
    return rows if page.has_repaired_model else []


def list_decline_rules(page: ReportPage) -> list[dict[str, Any]]:
    """The decline rule of each model that may be in force: its arm, whether it is in force, threshold, and coverage and
    error on val and on the sealed test."""
    arm = "targeted" if page["verdict"]["promoted"] else "before"
    rules = page["comparison"]["decline"]
    return [
        {**rule, "arm": name, "model": _MODEL_NAMES[name], "in_force": name == arm}
        for name, rule in rules.items()
    ]


def list_correction_gains(page: ReportPage) -> list[dict[str, Any]]:
    """What each correction of images brings each model that may be in force, on val."""
    of = {c["slice"]: c for c in page["policy"]["corrections"]}
    rows = page["comparison"]["corrections"]["val"]
    known = [r for r in rows if r["slice"] in of]
    when = {name: format_rule(correction["when"]) for name, correction in of.items()}
    return [
        {**of[r["slice"]], **r, "when": when[r["slice"]], "model": _MODEL_NAMES[r["arm"]]}
        for r in known
    ]


def compute_coverage_curve(predictions: pd.DataFrame) -> pd.DataFrame:
    """Share answered and error among the answered when the least sure images are declined: columns coverage, error,
    threshold (the lowest confidence answered), from the surest image on.

    Source: El-Yaniv and Wiener 2010 (the risk-coverage curve), on validation.
    """
    table = predictions.sort_values("confidence", ascending=False, kind="stable")
    order = np.arange(1, len(table) + 1)
    wrong = np.cumsum(~table["correct"].to_numpy(bool))
    shares = {
        "coverage": order / max(len(table), 1),
        "error": wrong / order,
        "threshold": table["confidence"],
    }
    return pd.DataFrame(shares).reset_index(drop=True)


def _describe_confidence_bias(bins: list[dict[str, Any]]) -> str:
    """Whether the model is too sure, not sure enough, or neither, in words."""
    n = sum(b["n"] for b in bins)
    gap = sum(b["n"] * (b["confidence"] - b["accuracy"]) for b in bins) / n if n else 0.0
    if abs(gap) < 0.01:
        return "on average as sure as it is right"
    return "too sure" if gap > 0 else "less sure than it may be"


def _draw_reliability_diagram(bins: list[dict[str, Any]]) -> Markup:
    points = [(float(b["confidence"]), float(b["accuracy"])) for b in bins]
    low = min([min(x, y) for x, y in points] or [0.0])
    y = c.build_share_axis(low - 0.02)
    x = c.ChartAxis(y.low, 1.0, y.ticks, "confidence")
    lines = [
        c.ChartLine("perfect", [(y.low, y.low), (1.0, 1.0)], "b"),
        c.ChartLine("this model", points, "a"),
    ]
    return (
        c.draw_line_chart(lines, x, y, "Reliability diagram: share right against confidence")
        if points
        else Markup("")
    )


def _thin_curve(curve: pd.DataFrame) -> pd.DataFrame:
    if len(curve) <= MAX_CURVE_POINTS:
        return curve
    return curve.iloc[np.unique(np.linspace(0, len(curve) - 1, MAX_CURVE_POINTS).astype(int))]


def _draw_coverage_curve(curve: pd.DataFrame, rule: dict[str, Any]) -> Markup:
    if curve.empty:
        return Markup("")
    thin = _thin_curve(curve[curve["coverage"] >= min(0.05, curve["coverage"].max())])
    points = [(float(a), float(b)) for a, b in zip(thin["coverage"], thin["error"], strict=True)]
    high = max(max(e for _, e in points), float(rule.get("target_error") or 0.0), 0.01)
    scale = c.build_number_axis(100 * high, "")
    y = c.ChartAxis(0.0, scale.high / 100, [(v / 100, f"{text} %") for v, text in scale.ticks], "")
    x = c.ChartAxis(
        0.0, 1.0, [(k / 4, format_percent(k / 4, 0)) for k in range(5)], "share of images answered"
    )
    answered = rule.get("coverage")
    marks = (
        [c.ChartMark(float(answered), f"answers {format_percent(answered, 0)}")] if answered else []
    )
    return c.draw_line_chart(
        [c.ChartLine("error", points, "a")],
        x,
        y,
        "Error among answered images by share answered",
        marks,
    )


def _build_coverage_rows(curve: pd.DataFrame) -> list[dict[str, str]]:
    if curve.empty:
        return []
    at = [
        min(len(curve) - 1, int(np.ceil(share * len(curve))) - 1)
        for share in (0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
    ]
    rows = curve.iloc[sorted({max(k, 0) for k in at})].to_dict("records")
    return [
        {
            "answered": format_percent(r["coverage"]),
            "error": format_percent(r["error"]),
            "threshold": format_number(r["threshold"]),
        }
        for r in rows
    ]
