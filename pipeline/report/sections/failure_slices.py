"""Every slice with its images, rule, evidence, cause, dose-response curve and remedy."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.domain.statuses import SliceStatus
from pipeline.report.figures.contact_sheets import choose_contact_sheet
from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage
from pipeline.report.sentences.number_format import format_rule
from pipeline.report.sentences.strength_format import format_remedy_strength
from pipeline.report.slice_cards import build_slice_card, find_review_decision

TITLE = "Failure slices"
TAB = "Slices"
# More groups than this cannot be collected; the table then says "out of reach".
MAX_GROUPS_NEEDED = 100_000


def render(page: ReportPage) -> Markup:
    """Return confirmed slices in full, muted ones and unconfirmed ones in tables."""
    confirmed, muted, unconfirmed = [], [], []
    for row in page.slices:
        review = find_review_decision(page, row)
        short_row = {**row, "rule_text": format_rule(row["rule"]), "review": review}
        if row["status"] != SliceStatus.CONFIRMED:
            unconfirmed.append(short_row)
        elif review["decision"] == "muted":
            muted.append(short_row)
        else:
            contact_sheet = choose_contact_sheet(page, row["slice"])
            confirmed.append(build_slice_card(page, row, contact_sheet))
    return render_template(
        "failure_slices.html",
        confirmed=confirmed,
        muted=muted,
        unconfirmed=unconfirmed,
        has_targeted_arm=page.has_targeted_arm,
        can_brighten=page.thumbnails.mode != "none",
        misclassified_count=int(page.is_misclassified.sum()),
        refused_remedies=_list_refused_remedies(page),
        max_groups_needed=MAX_GROUPS_NEEDED,
    )


def _list_refused_remedies(page: ReportPage) -> list[dict[str, Any]]:
    rows = []
    for row in page["policy"]["refused"]:
        text = format_remedy_strength(row["remedy"], row["strength"])
        rows.append({**row, "strength_text": text})
    return rows
