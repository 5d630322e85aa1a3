"""The data themselves: what was rejected, duplicates and leaks, suspected labels, class balance, light and hours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.sections import Page, draw, plain, sheets
from pipeline.sections import charts as c

TITLE = "The data"
ROWS = 200  # of rejected files
SPREADS = (
    ("luminance", "Light", "luminance", (0.0, 256.0, 17)),
    ("hour", "Hours of the day", "hour of the day", (0.0, 24.0, 25)),
)
SPLITS = (("train", "Training"), ("val", "Validation"), ("test", "Test"), ("left_out", "Left out"))


def health(page: Page) -> Markup:
    """Rejected files, duplicates and leaks, labels that may be wrong, photos, light and hours by split."""
    pairs = page["duplicates"]
    return draw(
        "health.html",
        rejected=[plain(r) for r in page["rejected"].head(ROWS).to_dict("records")],
        n_rejected=len(page["rejected"]),
        n_images=len(page.images),
        issues=_issues(page),
        n_issues=len(page["label_issues"]),
        duplicates=_duplicates(page),
        n_duplicates=len(pairs),
        leaks=int(pairs["across_splits"].astype(bool).sum()),
        exact=int((pairs["kind"] == "exact").sum()),
        clash=int((~pairs["same_label"].astype(bool)).sum()),
        balance=_balance(page),
        splits=SPLITS,
        sizes=page.images["split"].value_counts().to_dict(),
        groups=page.images.groupby("split")["group"].nunique().to_dict(),
        reasons=_reasons(page["splits"]),
        spreads=[x for x in (_spread(page, *what) for what in SPREADS) if x],
    )


def _spread(page: Page, attribute: str, heading: str, name: str, edges: tuple[float, float, int]) -> dict[str, Any]:
    """How an attribute is spread in each split: a chart and its table; {} where it is not known of any photo."""
    table = page["attributes"]
    if attribute not in table or not table[attribute].notna().any():
        return {}
    bins = np.linspace(*edges)
    split = page.images["split"].reindex(table["image_id"]).to_numpy()
    lines, counts = [], {}
    for (key, word), tone in zip(SPLITS, "abcd", strict=True):
        values = table.loc[split == key, attribute].dropna().to_numpy(float)
        if len(values):
            counts[word] = np.histogram(np.clip(values, edges[0], np.nextafter(edges[1], 0)), bins)[0]
            share = counts[word] / len(values)
            lines.append(c.Line(word.lower(), list(zip((bins[:-1] + bins[1:]) / 2, share.tolist(), strict=True)), tone))
    y = c.numbers(100 * max(share for line in lines for _, share in line.points), "")
    shares = c.Axis(0.0, y.high / 100, [(v / 100, f"{text} %") for v, text in y.ticks], "")
    x = c.Axis(edges[0], edges[1], [(v, f"{v:.0f}") for v in np.linspace(edges[0], edges[1], 5)], name)
    rows = [{"from": f"{a:.0f} to {b:.0f}", "n": [int(n[k]) for n in counts.values()]} for k, (a, b) in _pairs(bins)]
    svg = c.line_chart(lines, x, shares, f"{heading}: share of each split’s photos by {name}")
    return {"heading": heading, "svg": svg, "rows": rows, "words": list(counts), "name": name}


def _pairs(bins: NDArray[np.float64]) -> list[tuple[int, tuple[float, float]]]:
    return list(enumerate(zip(bins[:-1].tolist(), bins[1:].tolist(), strict=True)))


def _reasons(splits: pd.DataFrame) -> list[tuple[str, int]]:
    reasons = splits.loc[splits["split"] == "left_out", "reason"].dropna()
    return [(str(k), int(v)) for k, v in reasons.value_counts().head(10).items()]


def _side(page: Page, image_id: str | None) -> dict[str, Any] | None:
    if image_id is None or image_id not in page.images.index:
        return None
    row = page.images.loc[image_id]
    label: str = "" if pd.isna(row["label"]) else str(row["label"])
    return {
        "img": page.photos.img(image_id, str(row["path"])),
        "label": label,
        "path": str(row["path"]),
        "split": str(row["split"]),
    }


def _issues(page: Page) -> list[dict[str, Any]]:
    rows = [plain(r) for r in sheets.issues(page).to_dict("records")]
    return [{**row, "this": _side(page, row["image_id"]), "that": _side(page, row["twin"])} for row in rows]


def _duplicates(page: Page) -> list[dict[str, Any]]:
    rows = [plain(r) for r in sheets.duplicates(page).to_dict("records")]
    return [{**row, "this": _side(page, row["image_id"]), "that": _side(page, row["other_id"])} for row in rows]


def _balance(page: Page) -> list[dict[str, Any]]:
    table = page.images.dropna(subset=["label"]).groupby(["label", "split"]).size().to_dict()
    counts = {name: [int(table.get((name, key), 0)) for key, _ in SPLITS] for name in page.classes}
    most = max([sum(row) for row in counts.values()] or [0]) or 1
    rows = []
    for name, row in counts.items():
        starts = [sum(row[:k]) for k in range(len(row))]
        bars = [(round(200 * a / most, 2), round(200 * n / most, 2)) for a, n in zip(starts, row, strict=True)]
        rows.append({"name": name, "counts": row, "bars": bars})
    return rows
