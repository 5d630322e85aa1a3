"""One slice as the report tells it: rule in words, evidence, dose-response curve, remedy, error before and after."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from pipeline import plugins
from pipeline.domain.rules import Rule
from pipeline.report import charts as c
from pipeline.report.number_format import (
    format_number,
    format_percent,
    format_plugin_name,
    set_minus_signs,
)
from pipeline.report.report_page import ReportPage, unwrap_row
from pipeline.report.slice_sentences import describe_cause


def format_rule(rule: str) -> str:
    """A rule in numbers, with the signs set as type."""
    return set_minus_signs(rule.replace("<=", "≤").replace(">=", "≥"))


def _load_remedy_plugin(remedy: str) -> ModuleType | None:
    try:
        return plugins.load_plugin("remedies", remedy)
    except (KeyError, ImportError):
        return None


def format_remedy_strength(remedy: str, strength: float | None) -> str:
    """A remedy with its strength, in the plugin's own form ("exposure x3") where it has one."""
    form = getattr(_load_remedy_plugin(remedy), "STRENGTH_FORMAT", None)
    if strength is None:
        return format_plugin_name(remedy)
    return (
        set_minus_signs(str(form).format(strength=strength))
        if form
        else f"{format_plugin_name(remedy)} {format_number(strength)}"
    )


def describe_remedy(remedy: str | None) -> str:
    """The first paragraph of the remedy's own docstring; its name where it is not installed any more."""
    if not remedy:
        return ""
    text = inspect.getdoc(getattr(_load_remedy_plugin(remedy), remedy, None)) or format_plugin_name(
        remedy
    )
    return " ".join(text.split("\n\n")[0].split())


def _get_neutral_strength(remedy: str) -> float | None:
    value = getattr(_load_remedy_plugin(remedy), "NEUTRAL_STRENGTH", None)
    return None if value is None else float(value)


def build_dose_response_table(page: ReportPage, slice_name: str, remedy: str) -> pd.DataFrame:
    """Accuracy inside and outside a slice at each strength of a remedy, over the probed images and their weights.

    Columns strength, inside, outside (shares; NaN where there is nobody); the strength that changes nothing is added.
    """
    val, table = page.validation_set, page["dose_response"].reset_index(drop=True)
    labels, weight = val.labels[val.probed_rows], val.probe_weights
    inside = val.image_ids.isin(page.slice_members.get(slice_name, [])).to_numpy()[val.probed_rows]
    responses = np.asarray(val.responses, dtype=np.intp)
    answers = {
        float(table["strength"][k]): responses[:, k] for k in np.flatnonzero(table["remedy"] == remedy)
    }
    neutral = _get_neutral_strength(remedy)
    if neutral is not None:
        answers.setdefault(float(neutral), val.predictions[val.probed_rows])
    rows = [
        (
            strength,
            _compute_weighted_mean(a == labels, weight, inside),
            _compute_weighted_mean(a == labels, weight, ~inside),
        )
        for strength, a in sorted(answers.items())
    ]
    return pd.DataFrame(rows, columns=["strength", "inside", "outside"])


def _compute_weighted_mean(is_correct: Any, weights: Any, is_selected: Any) -> float:
    total = float(weights[is_selected].sum())
    return float((is_correct * weights)[is_selected].sum() / total) if total else float("nan")


def count_intervention_effects(
    page: ReportPage, slice_name: str, remedy: str | None, strength: float | None
) -> dict[str, int] | None:
    """What one intervention does to a slice's probed images: misread, right, and of these repaired and broken (counts);
    None where it was not probed."""
    val, table = page.validation_set, page["dose_response"].reset_index(drop=True)
    column = np.flatnonzero((table["remedy"] == remedy) & (table["strength"] == strength))
    inside = val.image_ids.isin(page.slice_members.get(slice_name, [])).to_numpy()[val.probed_rows]
    if not len(column) or not inside.any():
        return None
    right, after = val.probe_results.correct[inside], val.probe_results.after[inside, column[0]]
    counts = {
        "misread": ~right,
        "right": right,
        "repaired": ~right & after,
        "broken": right & ~after,
    }
    return {what: int(np.sum(where)) for what, where in counts.items()}


def draw_dose_response(
    page: ReportPage, slice_name: str, remedy: str | None
) -> dict[str, Any] | None:
    """The dose-response curve of a slice with its table; None where the remedy was not tried at two strengths."""
    if remedy is None:
        return None
    table = build_dose_response_table(page, slice_name, remedy)
    if len(table) < 2 or table["inside"].isna().all():
        return None
    neutral = _get_neutral_strength(remedy)
    x = c.ChartAxis(
        0,
        len(table) - 1,
        [(k, format_number(d)) for k, d in enumerate(table["strength"])],
        f"strength of {format_plugin_name(remedy)}",
    )
    lines = [
        c.ChartLine(words, [(k, y) for k, y in enumerate(table[key]) if y == y], tone)
        for words, key, tone in (("this slice", "inside", "a"), ("all others", "outside", "b"))
    ]
    marks = [c.ChartMark(k, "untouched") for k, d in enumerate(table["strength"]) if d == neutral]
    strength, inside = (
        table.sort_values("inside", ascending=False)[["strength", "inside"]].to_numpy()[0].tolist()
    )
    words = f"At strength {format_number(strength)} of {format_plugin_name(remedy)} the model gets {format_percent(inside)} of this slice right"
    low = float(np.nanmin(table[["inside", "outside"]].to_numpy()))
    svg = c.draw_line_chart(lines, x, c.build_share_axis(low - 0.02), f"{words}.", marks)
    return {
        "svg": svg,
        "rows": [unwrap_row(row) for row in table.to_dict("records")],
        "words": words,
        "remedy": format_plugin_name(remedy),
    }


def compute_slice_errors(page: ReportPage, slice_name: str) -> dict[str, Any]:
    """Errors of a slice's validation images: n, and shares before, in the control arm, and after."""
    table = page.flips.loc[page.slice_members.get(slice_name, [])]
    share = {
        k: float((table[k] != table["label"]).mean()) if len(table) else None
        for k in ("before", "control", "after")
    }
    return {"n": len(table), **share}


def summarize_remedy(page: ReportPage, slice_name: str) -> dict[str, Any]:
    """What is done about a slice: the policy's action, its correction at prediction time, and the plan in sum."""
    policy, plan = page["policy"], page["plan"]
    action = next((p["action"] for p in policy["prescriptions"] if p["slice"] == slice_name), "")
    correction = next((c for c in policy["corrections"] if c["slice"] == slice_name), None)
    mine = plan[plan["slice"] == slice_name]
    return {
        "action": set_minus_signs(action),
        "correction": correction,
        "plan": [
            _summarize_plan(str(r), s, rows)
            for (r, s), rows in mine.groupby(["remedy", "simulator"], dropna=False)
        ],
    }


def _summarize_plan(remedy: str, simulator: Any, plan_rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "remedy": remedy,
        "simulator": None if pd.isna(simulator) else str(simulator),
        "images": int(plan_rows["image_id"].nunique()),
        "strength_low": float(plan_rows["strength_low"].min()),
        "strength_high": float(plan_rows["strength_high"].max()),
        "probability": float(plan_rows["probability"].mean()),
    }


def _format_strength_range(row: dict[str, Any]) -> str:
    low, high = row["strength_low"], row["strength_high"]
    return format_number(low) if low == high else f"{format_number(low)} to {format_number(high)}"


def list_cause_candidates(page: ReportPage, slice_name: str) -> list[dict[str, Any]]:
    """Every rival cause that was tried for a slice, best first as `explain` left them."""
    table = page["causes"]
    rows = [unwrap_row(row) for row in table[table["slice"] == slice_name].to_dict("records")]
    return [{**row, "words": describe_cause(row["remedy"], row["strength"])} for row in rows]


def find_review_decision(page: ReportPage, row: Mapping[str, Any]) -> dict[str, str]:
    """What a reviewer of an earlier run decided about a slice of the same rule: `decision` and `note`, "" for none."""
    decided = page.reviews.get("slices", {}).get(Rule.parse_json(row["frozen"]).identity, {})
    return {"decision": str(decided.get("decision", "")), "note": str(decided.get("note", ""))}


def _find_slice_history(page: ReportPage, slice_name: str) -> dict[str, Any] | None:
    """How the slice is known from earlier runs; None where there was none, or nothing is followed."""
    found = page.artifacts.get("followed") or {}
    known = (track for track in found.get("slices", []) if track["slice"] == slice_name)
    return next(known, None) if found.get("previous") else None


def build_slice_card(
    page: ReportPage, row: dict[str, Any], contact_sheet: list[str]
) -> dict[str, Any]:
    """Everything that the template of a confirmed slice draws from."""
    name = row["slice"]
    said = [page.flips_by_image[image_id] for image_id in contact_sheet]
    alts = [f"{a['label']}, taken for {a['before']}" for a in said]
    images = [
        {"img": page.thumbnails.draw_thumbnail(i, alt), "told": alt, **a}
        for i, alt, a in zip(contact_sheet, alts, said, strict=True)
    ]
    drawn = dict.fromkeys([row["cause"], row["remedy"]])
    charts = [chart for remedy in drawn if (chart := draw_dose_response(page, name, remedy))]
    rivals = [
        {**r, "dosed": format_remedy_strength(r["remedy"], r["strength"])}
        for r in list_cause_candidates(page, name)
    ]
    planned = page["plan"].loc[page["plan"]["slice"] == name, "remedy"]
    return {
        **row,
        "review": find_review_decision(page, row),
        "track": _find_slice_history(page, name),
        "how_many": row["counts"],
        "dosed": format_remedy_strength(row["remedy"], row["strength"]) if row["remedy"] else "",
        "turned": count_intervention_effects(page, name, row["remedy"], row["strength"]),
        "rule_words": format_rule(row["rule"]),
        "applied_words": format_rule(row["applied"]),
        "images": images,
        "strengths": _format_strength_range(row),
        "known": len(page.thumbnails.select_stored(page.slice_members.get(name, []))),
        "members": len(page.slice_members.get(name, [])),
        "misread": sum(
            page.flips_by_image[i]["change"] in ("fixed", "still wrong")
            for i in page.slice_members.get(name, [])
        ),
        "charts": charts,
        "rivals": rivals,
        "errors": compute_slice_errors(page, name),
        "repair": summarize_remedy(page, name),
        "remedy_words": describe_remedy(next(iter(planned), row["remedy"] or row["cause"])),
        "named": [r for r in rivals if r["named"]],
    }
