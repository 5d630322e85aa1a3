"""One slice on the page: rule, evidence, images, causes, remedy, errors before and after."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup

from pipeline.domain.prescriptions import Prescription
from pipeline.remedies import load_remedy
from pipeline.report.figures.dose_response_charts import (
    count_intervention_effects,
    draw_dose_response,
)
from pipeline.report.figures.slice_matrices import build_slice_matrices, list_paying_classes
from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage, unwrap_rows
from pipeline.report.reviewing.slice_reviews import describe_slice_review
from pipeline.report.sentences.conditions.change_rows import build_change_rows
from pipeline.report.sentences.number_format import format_plugin_name, format_rule, set_minus_signs
from pipeline.report.sentences.plain.slice_places import describe_place
from pipeline.report.sentences.plain.story_sentences import (
    describe_cause_evidence,
    describe_treatment,
)
from pipeline.report.sentences.prescription_sentences import describe_prescription
from pipeline.report.sentences.slice_sentences import (
    describe_admission,
    describe_cause,
    describe_cause_outcome,
)
from pipeline.report.sentences.strength_format import format_remedy_strength, format_strength_range

MAX_SHOWN_COPIES = 3  # treated copies on a card


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


def compute_slice_errors(page: ReportPage, slice_name: str) -> dict[str, Any]:
    """Return n and the error rates of a slice's validation images, before, control and after."""
    table = page.flips.loc[page.slice_members.get(slice_name, [])]
    errors: dict[str, Any] = {"n": len(table)}
    for arm in ("before", "control", "after"):
        errors[arm] = float((table[arm] != table["label"]).mean()) if len(table) else None
    return errors


def summarize_remedy(page: ReportPage, slice_name: str) -> dict[str, Any]:
    """Return the remedy of a slice: action, correction at prediction time, training plan."""
    policy, plan = page["policy"], page["plan"]
    actions = {}
    for record in policy["prescriptions"]:
        actions[record["slice"]] = describe_prescription(Prescription.parse_record(record))
    corrections = {item["slice"]: item for item in policy["corrections"]}
    slice_plan = plan[plan["slice"] == slice_name]
    treatments = []
    for (remedy, simulator), rows in slice_plan.groupby(["remedy", "simulator"], dropna=False):
        treatments.append(_summarize_treatment(str(remedy), simulator, rows))
    return {
        "action": actions.get(slice_name, ""),
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
        "tone_share": float(plan_rows["tone_share"].mean()),
    }


def list_cause_candidates(page: ReportPage, slice_name: str) -> list[dict[str, Any]]:
    """Return every cause that was tested for a slice, best first, with its text."""
    table = page["causes"]
    candidates = unwrap_rows(table[table["slice"] == slice_name])
    for row in candidates:
        row["words"] = describe_cause(row["remedy"], row["strength"])
        row["strength_text"] = format_remedy_strength(row["remedy"], row["strength"])
        row["outcome_text"] = describe_cause_outcome(row)
    return candidates


def find_review_decision(page: ReportPage, explanation: Mapping[str, Any]) -> dict[str, str]:
    """Return the decision and note of an earlier reviewer on the slice; empty without one.

    Args:
        page: the page.
        explanation: a row of `explanations`.
    """
    return describe_slice_review(page.slice_reviews.get(explanation["slice"]))


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
        images.append(
            {
                **flip,
                "thumbnail": page.thumbnails.draw_thumbnail(image_id, alt_text),
                "alt_text": alt_text,
                "is_suspected": image_id in page.suspected_ids,
            }
        )
    return images


def draw_remedy_pictures(page: ReportPage, slice_name: str, max_copies: int = 1) -> Markup:
    """Return a training image as taken and as trained on; empty without a treatment.

    Args:
        page: the page.
        slice_name: name of the slice.
        max_copies: number of treated copies of each treatment at most.
    """
    strips = []
    for preview in page.previews:
        if preview.slice != slice_name:
            continue
        copies = list(preview.treated_copies)
        step = max(1, len(copies) // max_copies)
        copies = copies[step // 2 :: step][:max_copies]
        path = str(page.images.loc[preview.original_id, "path"])
        pictures = [("as taken", page.thumbnails.draw_thumbnail(preview.original_id, path))]
        for strength, pixels in copies:
            caption = f"as trained on: {set_minus_signs(strength)}"
            pictures.append((caption, page.thumbnails.draw_static_image(pixels, caption)))
        strips.append(render_template("remedy_pictures.html", pictures=pictures))
    return Markup("").join(strips)


def count_unreadable_images(page: ReportPage, slice_name: str) -> int:
    """Return the number of a slice's images that are so dark that nothing can be seen."""
    members = page.slice_members.get(slice_name, [])
    return len(page.black_image_ids.intersection(members))


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


def _list_changed_parts(page: ReportPage) -> list[dict[str, Any]]:
    return build_change_rows(page["comparison"]) if page.has_targeted_arm else []


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
        "admission": describe_admission(page["policy"].get("admission", {}).get(name, {})),
        "images": _draw_contact_sheet(page, contact_sheet),
        "stored_count": len(page.thumbnails.select_stored(members)),
        "member_count": len(members),
        "misclassified_count": int(misclassified.sum()),
        "charts": _draw_slice_charts(page, explanation),
        "cause_candidates": list_cause_candidates(page, name),
        "errors": compute_slice_errors(page, name),
        "remedy_summary": summarize_remedy(page, name),
        "place": describe_place(explanation),
        "cause_text": describe_cause_evidence(explanation),
        "matrices": build_slice_matrices(page, name),
        "paying_classes": list_paying_classes(_list_changed_parts(page), name),
        "pictures": draw_remedy_pictures(page, name, MAX_SHOWN_COPIES),
        "treatments": list(map(describe_treatment, summarize_remedy(page, name)["plan"])),
        "black_count": count_unreadable_images(page, name),
        "remedy_text": describe_remedy(next(iter(planned), remedy or explanation["cause"])),
    }
