"""What arrived against the data of the champion: slices that grew, attributes that moved, and what is new."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from pipeline.sections import Page, draw
from pipeline.sections import charts as c
from pipeline.sections.slice_view import headline, rule_words

TITLE = "What arrived"
CHARTS = 4  # attributes that are drawn, the most drifted first


def drift(page: Page) -> Markup:
    """Newly arrived photos against the data of the champion that was in force; left out where there was none."""
    found = page["drift"]
    return drawn(found) if found["champion"] else Markup("")


def drawn(found: Mapping[str, Any]) -> Markup:
    """The artifact `drift` (see `pipeline.slicing.traffic.compare`) as HTML: conditions, slices, attributes, new."""
    failed = sum(not item["passed"] for item in found["conditions"])
    plots = [{"row": row, "svg": _spread(row)} for row in found["attributes"] if row["psi"]]
    titles = {row["slice"]: (headline(row["words"])[0], rule_words(row["rule"])) for row in found["slices"]}
    return draw("drift.html", found=found, failed=failed, plots=plots[:CHARTS], titles=titles)


def _spread(row: Mapping[str, Any]) -> Markup:
    """How an attribute is spread in training, validation and what arrived: shares by the tenths of what is known."""
    lines = [
        c.Line(side, [(float(k), n / max(sum(counts), 1)) for k, n in enumerate(counts)], tone)
        for (side, counts), tone in zip(row["counts"].items(), "bca", strict=True)
    ]
    most = max(share for line in lines for _, share in line.points)
    y = c.numbers(100 * most, "")
    shares = c.Axis(0.0, y.high / 100, [(v / 100, f"{text} %") for v, text in y.ticks], "")
    last = max(len(row["edges"]), 1)
    ticks = [(k + 0.5, text) for k, text in enumerate(row["edges"]) if k % 3 == 0]
    alt = f"{row['attribute']}: share of the photos of training, validation and of those that arrived, bin by bin"
    return c.line_chart(lines, c.Axis(0.0, float(last), ticks, row["attribute"]), shares, alt)
