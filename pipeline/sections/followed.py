"""Slices over the runs: since when each is known, whether it grows, shrinks, is closed or is back, and its trend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from pipeline.sections import Page, draw
from pipeline.sections.charts import spark
from pipeline.sections.slice_view import headline, rule_words
from pipeline.sections.words import counted

TITLE = "Slices over the runs"
_TONES = {"closed": "held", "shrinking": "held", "new": "failed", "back": "failed", "growing": "failed"}


def followed(page: Page) -> Markup:
    """Every slice that this run or an earlier one of its name confirmed; left out where there was none before it."""
    found = page["followed"]
    if not found["previous"]:
        return Markup("")
    rows = [_row(track) for track in found["slices"]]
    return draw("followed.html", rows=rows, previous=found["previous"], counts=counted(found["slices"]))


def _row(track: Mapping[str, Any]) -> dict[str, Any]:
    title, points = headline(track["words"])[0], [p["error"]["value"] for p in track["history"]]
    known = [p for p in points if p is not None]
    alt = f"{title}: share misread over {len(points)} runs, from {_whole(known, 0)} to {_whole(known, -1)}"
    return {
        **track,
        "title": title,
        "tone": _TONES.get(track["state"], "unknown"),
        "rule_words": rule_words(track["rule"]),
        "spark": spark(points, alt),
    }


def _whole(known: list[float], at: int) -> str:
    return f"{known[at]:.0%}" if known else "unknown"
