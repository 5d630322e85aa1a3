"""The findings, their causes, the remedies and the result, and who pays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
from markupsafe import Markup

from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage
from pipeline.report.sentences.conditions.change_rows import build_change_rows
from pipeline.report.sentences.plain.slice_places import describe_place
from pipeline.report.sentences.plain.story_sentences import (
    describe_broken_images,
    describe_cause_evidence,
    describe_treatment,
)
from pipeline.report.sentences.trait_sentences import describe_traits
from pipeline.report.sentences.verdict_rows import list_subset_names
from pipeline.report.slice_cards import draw_remedy_pictures, summarize_remedy
from pipeline.slices.causes.shared_traits import find_shared_traits

TITLE = "What was found and done"
TAB = "Verdict"
MAX_TOLD_SLICES = 6  # more do not fit a story; all have a card


def render(page: ReportPage) -> Markup:
    """Return the story of the run in four steps, and for whom it got better or worse."""
    if not page.confirmed_slices:
        return Markup("")
    comparison = page["comparison"]
    slices = [_tell_slice(page, row) for row in page.confirmed_slices[:MAX_TOLD_SLICES]]
    changes = page.flips["change"].value_counts()
    return render_template(
        "treatment_story.html",
        slices=slices,
        has_targeted_arm=page.has_targeted_arm,
        error_count=int(page.is_misclassified.sum()),
        image_count=len(page.flips),
        changes={str(kind): int(count) for kind, count in changes.items()},
        broken_text=_describe_broken(page),
        unimproved=[row for row in slices if row["is_unimproved"]],
        changed_parts=build_change_rows(comparison, list_subset_names(page)),
        class_margin=comparison["margins"]["by_class"],
    )


def _tell_slice(page: ReportPage, explanation: dict[str, Any]) -> dict[str, Any]:
    name = explanation["slice"]
    members = page.flips.loc[page.slice_members.get(name, [])]
    treatments = summarize_remedy(page, name)["plan"]
    right_before = int((members["before"] == members["label"]).sum())
    right_after = int((members["after"] == members["label"]).sum())
    return {
        **explanation,
        "place": describe_place(explanation),
        "cause_text": describe_cause_evidence(explanation),
        "treatments": list(map(describe_treatment, treatments)),
        "pictures": draw_remedy_pictures(page, name),
        "is_unimproved": page.has_targeted_arm and right_after <= right_before,
    }


def _describe_broken(page: ReportPage) -> str:
    """Return what the broken images share; empty without any."""
    is_broken = page.flips["change"] == "broken"
    if not is_broken.any():
        return ""
    places = []
    for row in page.confirmed_slices:
        members = page.slice_members.get(row["slice"], [])
        count = int(is_broken.reindex(members).sum())
        if count:
            places.append((describe_place(row), count))
    places.sort(key=lambda place: -place[1])
    traits = describe_traits(_find_broken_traits(page, is_broken))
    return describe_broken_images(int(is_broken.sum()), places, traits)


def _find_broken_traits(page: ReportPage, is_broken: pd.Series[bool]) -> list[Any]:
    """Return the traits of the broken images, by the predictions after retraining."""
    val = page.validation_set
    flips = page.flips.reindex(val.image_ids)
    after = flips["after_index"].fillna(-1).to_numpy(int)
    mask = is_broken.reindex(val.image_ids, fill_value=False).to_numpy(bool)
    return find_shared_traits(replace(val, predictions=after), mask, set(), page.seed)
