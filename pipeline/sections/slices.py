"""Where it fails: every slice with its photos, words, evidence, cause, dose-response curve and remedy."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.sections import Page, draw
from pipeline.sections.sheets import contact_sheet
from pipeline.sections.slice_view import dosed, headline, reviewed, rule_words, view

TITLE = "Where it fails, and why"


def slices(page: Page) -> Markup:
    """Confirmed slices in full, muted ones set aside, the others in a table with what would decide them."""
    muted = [row for row in page.confirmed if reviewed(page, row)["decision"] == "muted"]
    names = {row["slice"] for row in muted}
    confirmed = [row for row in page.confirmed if row["slice"] not in names]
    misread = int((page.flips["true"] != page.flips["was"]).sum())
    return draw(
        "slices.html",
        confirmed=[view(page, row, contact_sheet(page, row["slice"])) for row in confirmed],
        muted=[{**_short(row), "review": reviewed(page, row)} for row in muted],
        others=[_short(row) for row in page.slices if row["status"] != "confirmed"],
        changed=page.changed,
        bright=page.photos.mode != "none",
        misread=misread,
        refused=[{**r, "dosed": dosed(r["remedy"], r["dose"])} for r in page["policy"]["refused"]],
    )


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "title": headline(row["words"])[0], "rule_words": rule_words(row["rule"])}
