"""Where it fails: every slice with its images, words, evidence, cause, dose-response curve and remedy."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.report.contact_sheets import choose_contact_sheet
from pipeline.report.report_page import ReportPage, render_template
from pipeline.report.slice_cards import (
    build_slice_card,
    find_review_decision,
    format_remedy_strength,
    format_rule,
)

TITLE = "Where it fails, and why"


def render(page: ReportPage) -> Markup:
    """Confirmed slices in full, muted ones set aside, the others in a table with what would decide them."""
    muted = [
        row
        for row in page.confirmed_slices
        if find_review_decision(page, row)["decision"] == "muted"
    ]
    names = {row["slice"] for row in muted}
    confirmed = [row for row in page.confirmed_slices if row["slice"] not in names]
    misread = int((page.flips["true"] != page.flips["was"]).sum())
    return render_template(
        "failure_slices.html",
        confirmed=[
            build_slice_card(page, row, choose_contact_sheet(page, row["slice"]))
            for row in confirmed
        ],
        muted=[
            {**_build_short_row(row), "review": find_review_decision(page, row)} for row in muted
        ],
        others=[_build_short_row(row) for row in page.slices if row["status"] != "confirmed"],
        changed=page.has_repaired_model,
        bright=page.thumbnails.mode != "none",
        misread=misread,
        refused=[
            {**r, "dosed": format_remedy_strength(r["remedy"], r["strength"])}
            for r in page["policy"]["refused"]
        ],
    )


def _build_short_row(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "rule_words": format_rule(row["rule"])}
