"""Reliability diagram, calibration error, and the errors that declining uncertain images avoids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from pipeline.report.figures.charts import (
    ChartAxis,
    ChartLine,
    ChartMark,
    build_percent_axis,
    build_share_axis,
    draw_line_chart,
)
from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage
from pipeline.report.sentences.number_format import format_number, format_percent, format_rule
from pipeline.report.sentences.verdict_rows import list_compared_splits

TITLE = "Calibration"
AXIS_MARGIN = 0.02  # room of an axis of shares below its lowest value
MAX_CURVE_POINTS = 200  # more points are narrower than the line
MIN_CURVE_COVERAGE = 0.05  # the error of fewer images is mostly chance
MIN_ERROR_AXIS = 0.01  # least height of the axis of errors
MIN_CONFIDENCE_BIAS = 0.01  # a smaller mean difference is called well calibrated
COVERAGE_ROWS = (0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
_MODEL_NAMES = {"before": "the model before", "targeted": "the model after"}


def render(page: ReportPage) -> Markup:
    """Return the reliability diagram, ECE and temperature, and the curve of the decline rule."""
    calibration = page["metrics"].get("calibration") or {}
    bins = calibration.get("bins") or []
    curve = compute_coverage_curve(page["predictions"])
    if not bins and curve.empty:
        return Markup("")
    rule = page["policy"].get("decline") or {}
    return render_template(
        "calibration.html",
        bins=bins,
        diagram=_draw_reliability_diagram(bins),
        ece=calibration.get("ece"),
        temperature=calibration.get("temperature"),
        rule=rule,
        curve=_draw_coverage_curve(curve, rule),
        rows=_build_coverage_rows(curve),
        confidence_bias=_describe_confidence_bias(bins),
        decline_rules=list_decline_rules(page),
        correction_gains=list_correction_gains(page),
        calibration_errors=list_calibration_errors(page),
    )


def list_calibration_errors(page: ReportPage) -> list[dict[str, Any]]:
    """Return the expected calibration error of both models on each compared split."""
    if not page.has_targeted_arm:
        return []
    rows = []
    for _, split_title, record in list_compared_splits(page):
        row: dict[str, Any] = {"split": split_title.lower(), "n": record["n"]}
        for arm in _MODEL_NAMES:
            seeds = record["arms"].get(arm)
            row[arm] = seeds[0]["calibration"]["ece"] if seeds else None
        rows.append(row)
    return rows


def list_decline_rules(page: ReportPage) -> list[dict[str, Any]]:
    """Return the decline rule of each model that may be the champion.

    Each has arm, model (in words), is_in_force, threshold, and coverage and error on validation and
    on the sealed test.
    """
    arm_in_force = "targeted" if page["verdict"]["promoted"] else "before"
    rules = []
    for arm, rule in page["comparison"]["decline"].items():
        model = _MODEL_NAMES[arm]
        rules.append({**rule, "arm": arm, "model": model, "is_in_force": arm == arm_in_force})
    return rules


def list_correction_gains(page: ReportPage) -> list[dict[str, Any]]:
    """Return the gain of each correction on validation, with each model that may be champion."""
    corrections = {item["slice"]: item for item in page["policy"]["corrections"]}
    gains = []
    for row in page["comparison"]["corrections"]["val"]:
        correction = corrections.get(row["slice"])
        if correction:
            texts = {
                "rule_text": format_rule(correction["when"]),
                "model": _MODEL_NAMES[row["arm"]],
            }
            gains.append({**correction, **row, **texts})
    return gains


def compute_coverage_curve(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the error rate of the most confident images against their share of all images.

    Source: El-Yaniv and Wiener 2010 (the risk-coverage curve).

    Args:
        predictions: columns confidence and correct, of validation.

    Returns:
        Columns coverage, error (rate among the covered images) and threshold (their lowest
        confidence), the most confident image first.
    """
    table = predictions.sort_values("confidence", ascending=False, kind="stable")
    covered = np.arange(1, len(table) + 1)
    errors = np.cumsum(~table["correct"].to_numpy(bool))
    curve = {
        "coverage": covered / max(len(table), 1),
        "error": errors / covered,
        "threshold": table["confidence"].to_numpy(),
    }
    return pd.DataFrame(curve)


def _describe_confidence_bias(bins: Sequence[Mapping[str, Any]]) -> str:
    """Return whether mean confidence exceeds accuracy, in words."""
    table = pd.DataFrame(bins, columns=["n", "confidence", "accuracy"])
    image_count = table["n"].sum()
    difference = (table["n"] * (table["confidence"] - table["accuracy"])).sum()
    bias = difference / image_count if image_count else 0.0
    if abs(bias) < MIN_CONFIDENCE_BIAS:
        return "well calibrated on average"
    return "overconfident" if bias > 0 else "underconfident"


def _draw_reliability_diagram(bins: Sequence[Mapping[str, Any]]) -> Markup:
    points = [(float(row["confidence"]), float(row["accuracy"])) for row in bins]
    if not points:
        return Markup("")
    y = build_share_axis(float(np.min(points)) - AXIS_MARGIN)
    x = ChartAxis(y.low, 1.0, y.ticks, "confidence")
    lines = [
        ChartLine("perfect", [(y.low, y.low), (1.0, 1.0)], "b"),
        ChartLine("this model", points, "a"),
    ]
    return draw_line_chart(lines, x, y, "Reliability diagram: accuracy against confidence")


def _thin_curve(curve: pd.DataFrame) -> pd.DataFrame:
    """Return at most `MAX_CURVE_POINTS` rows at equal distances."""
    curve = curve[curve["coverage"] >= min(MIN_CURVE_COVERAGE, curve["coverage"].max())]
    if len(curve) <= MAX_CURVE_POINTS:
        return curve
    return curve.iloc[np.unique(np.linspace(0, len(curve) - 1, MAX_CURVE_POINTS).astype(int))]


def _draw_coverage_curve(curve: pd.DataFrame, rule: Mapping[str, Any]) -> Markup:
    if curve.empty:
        return Markup("")
    thin = _thin_curve(curve)
    points = list(zip(thin["coverage"].tolist(), thin["error"].tolist(), strict=True))
    target_error = float(rule.get("target_error") or 0.0)
    y = build_percent_axis(max(float(thin["error"].max()), target_error, MIN_ERROR_AXIS))
    ticks = [(k / 4, format_percent(k / 4, 0)) for k in range(5)]
    x = ChartAxis(0.0, 1.0, ticks, "coverage")
    marks = []
    if rule.get("coverage"):
        coverage = float(rule["coverage"])
        marks.append(ChartMark(coverage, f"covers {format_percent(coverage, 0)}"))
    alt_text = "Error rate among the covered images by coverage"
    return draw_line_chart([ChartLine("error", points, "a")], x, y, alt_text, marks)


def _build_coverage_rows(curve: pd.DataFrame) -> list[dict[str, str]]:
    if curve.empty:
        return []
    numbers = np.ceil(np.array(COVERAGE_ROWS) * len(curve)).astype(int) - 1
    rows = []
    for row in curve.iloc[np.unique(numbers.clip(0, len(curve) - 1))].to_dict("records"):
        rows.append(
            {
                "coverage": format_percent(row["coverage"]),
                "error": format_percent(row["error"]),
                "threshold": format_number(row["threshold"]),
            }
        )
    return rows
