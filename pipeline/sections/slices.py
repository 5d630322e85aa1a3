"""Where it fails: every slice with its photos, words, evidence, cause, dose-response curve and remedy."""

from __future__ import annotations

from markupsafe import Markup

from pipeline.sections import Page, draw
from pipeline.sections.sheets import contact_sheet
from pipeline.sections.slice_view import dosed, headline, rule_words, view

TITLE = "Where it fails, and why"


def slices(page: Page) -> Markup:
    """Confirmed slices in full, the others in a table with what would decide them."""
    confirmed = [view(page, row, contact_sheet(page, row["slice"])) for row in page.confirmed]
    others = [
        {**row, "title": headline(row["words"])[0], "rule_words": rule_words(row["rule"])}
        for row in page.slices
        if row["status"] != "confirmed"
    ]
    misread = int((page.flips["true"] != page.flips["was"]).sum())
    return draw(
        "slices.html",
        confirmed=confirmed,
        others=others,
        changed=page.changed,
        misread=misread,
        refused=[{**r, "dosed": dosed(r["remedy"], r["dose"])} for r in page["policy"]["refused"]],
    )
