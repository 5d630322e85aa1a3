"""The first screen: the verdict in one plain sentence, four images, two numbers."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from markupsafe import Markup

from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage
from pipeline.report.sentences.plain.plain_verdict import VerdictFacts, compose_plain_verdict
from pipeline.report.sentences.verdict_rows import build_comparison_rows, choose_banner_class
from pipeline.report.verdict_facts import choose_strip_images, gather_verdict_facts

TITLE = "Verdict"
TAB = "Verdict"
HAS_OWN_HEADING = True


def render(page: ReportPage) -> Markup:
    """Return the verdict for a reader with thirty seconds."""
    facts = gather_verdict_facts(page)
    return render_template(
        "gate_verdict.html",
        banner_class=choose_banner_class(facts.is_promoted, facts.outcome),
        plain=compose_plain_verdict(facts),
        data_faults=page.data_faults,
        strip=_draw_strip(page, facts),
        figures=_build_figures(page),
        has_targeted_arm=page.has_targeted_arm,
        next_section=_choose_next_section(page),
    )


def _choose_next_section(page: ReportPage) -> str:
    """Return the section that the button leads to: the story, else the errors, else the run."""
    if page.confirmed_slices:
        return "treatment_story"
    return "error_overview" if page.is_misclassified.any() else "run_details"


def _draw_strip(page: ReportPage, facts: VerdictFacts) -> list[dict[str, Any]]:
    """Return the images of the strip; those with the same predictions share a caption."""
    flips = [page.flips_by_image[image_id] for image_id in choose_strip_images(page, facts)]
    strip = []
    for answers, members in groupby(flips, lambda row: (row["label"], row["before"], row["after"])):
        label, before, after = answers
        images = []
        for flip in members:
            text = f"{label}: {before} before, {after} after" if page.has_targeted_arm else label
            images.append(page.thumbnails.draw_thumbnail(flip["image_id"], text))
        strip.append({"label": label, "before": before, "after": after, "images": images})
    return strip


def _build_figures(page: ReportPage) -> list[dict[str, Any]]:
    """Return the share of correct images before and after: of all, and of the planned slices."""
    rows = build_comparison_rows(page)
    rows = [row for row in rows if row["split"] == rows[0]["split"]]
    figures = []
    for row in rows:
        names = {"all": "all images", "planned": "the slices"}
        if row["subset_kind"] in names and row["before"]:
            after = row["targeted"] or {"value": None}
            figures.append(
                {
                    "name": names[row["subset_kind"]],
                    "before": row["before"]["value"],
                    "after": after["value"],
                }
            )
    return figures
