"""One slice on the page: rule, evidence, dose-response curve, remedy, errors before and after."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import Rule
from pipeline.remedies import load_remedy
from pipeline.report.charts import (
    ChartAxis,
    ChartLine,
    ChartMark,
    build_share_axis,
    draw_line_chart,
)
from pipeline.report.number_format import (
    format_percent,
    format_plugin_name,
    format_rule,
    set_minus_signs,
)
from pipeline.report.report_page import ReportPage, unwrap_rows
from pipeline.report.slice_sentences import describe_cause
from pipeline.report.strength_format import (
    describe_strength_axis,
    format_remedy_strength,
    format_strength,
    format_strength_range,
)

AXIS_MARGIN = 0.02  # room of an axis of shares below its lowest value


def describe_remedy(remedy: str | None) -> str:
    """Return the first paragraph about the remedy's transform, or its name without its plug-in."""
    if not remedy:
        return ""
    try:
        text = inspect.getdoc(load_remedy(remedy).build_transform)
    except (KeyError, ImportError):
        text = None
    paragraph = (text or format_plugin_name(remedy)).split("\n\n")[0]
    return " ".join(paragraph.split())


def _get_neutral_strength(remedy: str) -> float | None:
    try:
        value = load_remedy(remedy).NEUTRAL_STRENGTH
    except (KeyError, ImportError):
        return None
    return None if value is None else float(value)


def _is_probed_member(page: ReportPage, slice_name: str) -> NDArray[np.bool_]:
    """Return bool [probed], whether each probed image is in the slice."""
    val = page.validation_set
    members = page.slice_members.get(slice_name, [])
    return np.asarray(val.image_ids.isin(members).to_numpy()[val.probed_rows], dtype=np.bool_)


def build_dose_response_table(page: ReportPage, slice_name: str, remedy: str) -> pd.DataFrame:
    """Return the accuracy inside and outside a slice at each strength of a remedy.

    Args:
        page: the page.
        slice_name: name of the slice.
        remedy: name of the remedy.

    Returns:
        Columns strength, inside and outside: weighted shares of the probed images, NaN without an
        image. The neutral strength is one of the rows.
    """
    val, table = page.validation_set, page["dose_response"].reset_index(drop=True)
    labels, is_inside = val.labels[val.probed_rows], _is_probed_member(page, slice_name)
    responses = np.asarray(val.responses, dtype=np.intp)
    predictions = {}
    for column in np.flatnonzero(table["remedy"] == remedy):
        predictions[float(table["strength"][column])] = responses[:, column]
    neutral = _get_neutral_strength(remedy)
    if neutral is not None:
        predictions.setdefault(neutral, val.predictions[val.probed_rows])
    rows = []
    for strength in sorted(predictions):
        is_correct = predictions[strength] == labels
        inside = _compute_weighted_mean(is_correct, val.probe_weights, is_inside)
        outside = _compute_weighted_mean(is_correct, val.probe_weights, ~is_inside)
        rows.append((strength, inside, outside))
    return pd.DataFrame(rows, columns=["strength", "inside", "outside"])


def _compute_weighted_mean(
    is_correct: NDArray[np.bool_], weights: NDArray[np.float64], is_selected: NDArray[np.bool_]
) -> float:
    total = float(weights[is_selected].sum())
    return float((is_correct * weights)[is_selected].sum() / total) if total else float("nan")


def count_intervention_effects(
    page: ReportPage, slice_name: str, remedy: str | None, strength: float | None
) -> dict[str, int] | None:
    """Return what one intervention does to a slice's probed images.

    Args:
        page: the page.
        slice_name: name of the slice.
        remedy: name of the remedy.
        strength: its strength.

    Returns:
        Counts of images: misclassified, correct; repaired (of the misclassified) and broken (of the
        correct). None if it was not probed.
    """
    table = page["dose_response"].reset_index(drop=True)
    columns = np.flatnonzero((table["remedy"] == remedy) & (table["strength"] == strength))
    is_inside = _is_probed_member(page, slice_name)
    if not len(columns) or not is_inside.any():
        return None
    results = page.validation_set.probe_results
    correct, after = results.correct[is_inside], results.after[is_inside, columns[0]]
    return {
        "misclassified": int(np.sum(~correct)),
        "correct": int(np.sum(correct)),
        "repaired": int(np.sum(~correct & after)),
        "broken": int(np.sum(correct & ~after)),
    }


def draw_dose_response(
    page: ReportPage, slice_name: str, remedy: str | None
) -> dict[str, Any] | None:
    """Return the dose-response curve of a slice with its table.

    Args:
        page: the page.
        slice_name: name of the slice.
        remedy: name of the remedy.

    Returns:
        svg, rows of the table, caption and heading; None for fewer than two strengths.
    """
    if remedy is None:
        return None
    table = build_dose_response_table(page, slice_name, remedy)
    if len(table) < 2 or table["inside"].isna().all():
        return None
    strengths = table["strength"].tolist()
    ticks = [(float(k), format_strength(remedy, strength)) for k, strength in enumerate(strengths)]
    x = ChartAxis(0, len(table) - 1, ticks, describe_strength_axis(remedy))
    lines = [
        ChartLine("this slice", _list_known_points(table["inside"]), "a"),
        ChartLine("all others", _list_known_points(table["outside"]), "b"),
    ]
    neutral = _get_neutral_strength(remedy)
    marks = [ChartMark(strengths.index(neutral), "unchanged")] if neutral in strengths else []
    best = table.sort_values("inside", ascending=False).iloc[0]
    intervention = format_remedy_strength(remedy, float(best["strength"]))
    if best["strength"] == neutral:
        intervention = "no change"
    caption = f"Highest for the slice with {intervention}: {format_percent(best['inside'])} correct"
    lowest = float(np.nanmin(table[["inside", "outside"]].to_numpy()))
    svg = draw_line_chart(lines, x, build_share_axis(lowest - AXIS_MARGIN), f"{caption}.", marks)
    rows = unwrap_rows(table)
    for row in rows:
        is_neutral = row["strength"] == neutral
        row["strength_text"] = (
            "unchanged" if is_neutral else format_remedy_strength(remedy, row["strength"])
        )
    heading = format_plugin_name(remedy)
    return {"svg": svg, "rows": rows, "caption": caption, "heading": heading}


def _list_known_points(shares: pd.Series[float]) -> list[tuple[float, float]]:
    known = shares.reset_index(drop=True).dropna()
    return list(zip(known.index.astype(float), known.astype(float), strict=True))


def compute_slice_errors(page: ReportPage, slice_name: str) -> dict[str, Any]:
    """Return n and the error rates of a slice's validation images, before, control and after."""
    table = page.flips.loc[page.slice_members.get(slice_name, [])]
    errors: dict[str, Any] = {"n": len(table)}
    for arm in ("before", "control", "after"):
        errors[arm] = float((table[arm] != table["label"]).mean()) if len(table) else None
    return errors


def summarize_remedy(page: ReportPage, slice_name: str) -> dict[str, Any]:
    """Return what is done about a slice: action, correction at prediction time, training plan."""
    policy, plan = page["policy"], page["plan"]
    actions = {item["slice"]: item["action"] for item in policy["prescriptions"]}
    corrections = {item["slice"]: item for item in policy["corrections"]}
    slice_plan = plan[plan["slice"] == slice_name]
    treatments = []
    for (remedy, simulator), rows in slice_plan.groupby(["remedy", "simulator"], dropna=False):
        treatments.append(_summarize_treatment(str(remedy), simulator, rows))
    return {
        "action": set_minus_signs(actions.get(slice_name, "")),
        "correction": corrections.get(slice_name),
        "plan": treatments,
    }


def _summarize_treatment(remedy: str, simulator: Any, plan_rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "remedy": remedy,
        "simulator": None if pd.isna(simulator) else str(simulator),
        "images": int(plan_rows["image_id"].nunique()),
        "strength_low": float(plan_rows["strength_low"].min()),
        "strength_high": float(plan_rows["strength_high"].max()),
        "probability": float(plan_rows["probability"].mean()),
    }


def list_cause_candidates(page: ReportPage, slice_name: str) -> list[dict[str, Any]]:
    """Return every cause that was tested for a slice, best first, with its text."""
    table = page["causes"]
    candidates = unwrap_rows(table[table["slice"] == slice_name])
    for row in candidates:
        row["words"] = describe_cause(row["remedy"], row["strength"])
        row["strength_text"] = format_remedy_strength(row["remedy"], row["strength"])
    return candidates


def find_review_decision(page: ReportPage, explanation: Mapping[str, Any]) -> dict[str, str]:
    """Return the decision and note of an earlier reviewer about the same rule; empty without one.

    Args:
        page: the page.
        explanation: a row of `explanations`.
    """
    identity = Rule.parse_json(explanation["frozen"]).identity
    review = page.reviews.get("slices", {}).get(identity, {})
    return {"decision": str(review.get("decision", "")), "note": str(review.get("note", ""))}


def _find_slice_history(page: ReportPage, slice_name: str) -> dict[str, Any] | None:
    """Return the slice's record over the runs; None for a first run or an unknown slice."""
    followed = page.artifacts.get("followed") or {}
    if not followed.get("previous"):
        return None
    for record in followed.get("slices", []):
        if record["slice"] == slice_name:
            return dict(record)
    return None


def _draw_contact_sheet(page: ReportPage, image_ids: list[str]) -> list[dict[str, Any]]:
    images = []
    for image_id in image_ids:
        flip = page.flips_by_image[image_id]
        alt_text = f"{flip['label']}, predicted as {flip['before']}"
        thumbnail = page.thumbnails.draw_thumbnail(image_id, alt_text)
        images.append({**flip, "thumbnail": thumbnail, "alt_text": alt_text})
    return images


def _draw_slice_charts(page: ReportPage, explanation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the curves of the cause and of the remedy that was tested, once if they are equal."""
    charts = []
    for remedy in dict.fromkeys([explanation["cause"], explanation["remedy"]]):
        chart = draw_dose_response(page, explanation["slice"], remedy)
        if chart:
            charts.append(chart)
    return charts


def _format_cause_range(explanation: Mapping[str, Any]) -> str:
    cause = explanation["cause"]
    if not cause or explanation["strength_low"] is None:
        return ""
    return format_strength_range(cause, explanation["strength_low"], explanation["strength_high"])


def build_slice_card(
    page: ReportPage, explanation: dict[str, Any], contact_sheet: list[str]
) -> dict[str, Any]:
    """Return everything that the template of a confirmed slice draws from.

    Args:
        page: the page.
        explanation: a row of `page.slices`.
        contact_sheet: image ids of its contact sheet.
    """
    name, remedy = explanation["slice"], explanation["remedy"]
    members = page.slice_members.get(name, [])
    misclassified = page.is_misclassified.reindex(members)
    planned = page["plan"].loc[page["plan"]["slice"] == name, "remedy"]
    return {
        **explanation,
        "review": find_review_decision(page, explanation),
        "history": _find_slice_history(page, name),
        "cause_range": _format_cause_range(explanation),
        "intervention": format_remedy_strength(remedy, explanation["strength"]) if remedy else "",
        "effects": count_intervention_effects(page, name, remedy, explanation["strength"]),
        "rule_text": format_rule(explanation["rule"]),
        "applied_rules": format_rule(explanation["applied"]),
        "images": _draw_contact_sheet(page, contact_sheet),
        "stored_count": len(page.thumbnails.select_stored(members)),
        "member_count": len(members),
        "misclassified_count": int(misclassified.sum()),
        "charts": _draw_slice_charts(page, explanation),
        "cause_candidates": list_cause_candidates(page, name),
        "errors": compute_slice_errors(page, name),
        "remedy_summary": summarize_remedy(page, name),
        "remedy_text": describe_remedy(next(iter(planned), remedy or explanation["cause"])),
    }
