"""What the plain verdict of a page is made from, and the images that show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.report.figures.contact_sheets import choose_varied_images
from pipeline.report.report_page import ReportPage
from pipeline.report.sentences.conditions.change_rows import build_change_rows
from pipeline.report.sentences.plain.plain_verdict import (
    PlainVerdict,
    VerdictFacts,
    compose_plain_verdict,
    find_gained_part,
    find_worst_slice,
    list_harmed_parts,
)
from pipeline.report.sentences.plain.slice_places import describe_place
from pipeline.report.sentences.verdict_rows import build_comparison_rows

STRIP_IMAGE_COUNT = 4


def gather_verdict_facts(page: ReportPage) -> VerdictFacts:
    """Return what the plain verdict is made from."""
    verdict, comparison = page["verdict"], page["comparison"]
    places, class_free_places = {}, {}
    for row in page.confirmed_slices:
        places[row["slice"]] = describe_place(row)
        class_free_places[row["slice"]] = describe_place(row, should_name_class=False)
    planned = set(comparison["primary"]["slices"])
    failed = [item["condition"] for item in verdict["conditions"] if item["passed"] is False]
    overall = next(iter(build_comparison_rows(page)), None)
    before, after = (overall or {}).get("before"), (overall or {}).get("targeted")
    shares = before["value"] if before else 0.0, after["value"] if after else 0.0
    errors = {row["slice"]: (row["error"], row["expected"]) for row in page.confirmed_slices}
    return VerdictFacts(
        outcome=comparison.get("outcome"),
        is_promoted=verdict["promoted"],
        changes=build_change_rows(comparison) if page.has_targeted_arm else [],
        places=places,
        class_free_places=class_free_places,
        planned=[name for name in places if name in planned],
        failed_conditions=frozenset(failed),
        foreseen=verdict.get("foreseen"),
        image_count=len(page.flips),
        error_count=int(page.is_misclassified.sum()),
        overall=shares,
        slice_errors=errors,
        confusion=_find_confusion(page),
        arrived_groups=(verdict.get("arrivals") or {}).get("groups", 0),
    )


def summarize_verdict(page: ReportPage) -> PlainVerdict:
    """Return the plain verdict of a run."""
    return compose_plain_verdict(gather_verdict_facts(page))


def _find_confusion(page: ReportPage) -> tuple[str, str, int] | None:
    """Return label, prediction and count of the most frequent error; None without errors."""
    before = page.confusion_matrices[0]
    errors = before - np.diag(np.diag(before))
    if not errors.any():
        return None
    label, prediction = divmod(int(errors.argmax()), len(errors))
    names = page.class_names
    return names[label], names[prediction], int(errors[label, prediction])


def choose_strip_images(page: ReportPage, facts: VerdictFacts) -> list[str]:
    """Return the ids of the images that show the verdict: gained ones, then those who pay.

    They come from the worst slice, each of another group if possible. Without a slice they are
    misclassified images.
    """
    worst = find_worst_slice(facts)
    members = page.slice_members.get(worst, []) if worst else list(page.flips.index)
    table = page.flips.loc[members]
    gained, harmed = find_gained_part(facts), list_harmed_parts(facts)
    chosen: list[str] = []
    if page.has_targeted_arm:
        pays = bool(harmed) and harmed[0]["slice"] == worst
        fixed = table[(table["change"] == "fixed") & _is_of_class(table["label"], gained)]
        broken = table[table["change"] == "broken"]
        half = STRIP_IMAGE_COUNT // 2
        chosen += _choose_legible(page, list(fixed.index), half if pays else STRIP_IMAGE_COUNT)
        if pays:
            chosen += _choose_legible(page, list(broken.index), half)
    wrong = table[page.is_misclassified.reindex(table.index)]
    left_out = page.suspected_ids.union(chosen)
    rest = [image_id for image_id in wrong.index if image_id not in left_out]
    return chosen + _choose_legible(page, rest, STRIP_IMAGE_COUNT - len(chosen))


def _is_of_class(labels: pd.Series[str], part: Mapping[str, Any] | None) -> pd.Series[bool]:
    """Return whether each label is that of the part; a part without a class holds all."""
    return labels == part["class"] if part and part["class"] else labels.notna()


def _choose_legible(page: ReportPage, image_ids: Sequence[str], count: int) -> list[str]:
    """Return ids of varied images, those with the most contrast first: most can be seen there."""
    stored = page.thumbnails.select_stored(image_ids)
    by_contrast = sorted(stored, key=page.thumbnails.measure_contrast, reverse=True)
    return choose_varied_images(page, by_contrast, count)
