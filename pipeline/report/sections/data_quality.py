"""The data themselves: what was rejected, duplicates and leaks, suspected labels, class balance, light and hours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.report import charts as c
from pipeline.report import contact_sheets
from pipeline.report.report_page import ReportPage, render_template, unwrap_row

TITLE = "The data"
MAX_REJECTED_ROWS = 200  # of rejected files
ATTRIBUTE_CHARTS = (
    ("luminance", "Light", "luminance", (0.0, 256.0, 17)),
    ("hour", "Hours of the day", "hour of the day", (0.0, 24.0, 25)),
)
SPLIT_TITLES = (
    ("train", "Training"),
    ("val", "Validation"),
    ("test", "Test"),
    ("left_out", "Left out"),
)


def render(page: ReportPage) -> Markup:
    """Rejected files, duplicates and leaks, labels that may be wrong, images, light and hours by split."""
    pairs = page["duplicates"]
    return render_template(
        "data_quality.html",
        rejected=[
            unwrap_row(r) for r in page["rejected"].head(MAX_REJECTED_ROWS).to_dict("records")
        ],
        n_rejected=len(page["rejected"]),
        n_images=len(page.images),
        issues=_collect_label_issues(page),
        n_issues=len(page["label_issues"]),
        duplicates=_collect_duplicates(page),
        n_duplicates=len(pairs),
        leaks=int(pairs["across_splits"].astype(bool).sum()),
        exact=int((pairs["kind"] == "exact").sum()),
        clash=int((~pairs["same_label"].astype(bool)).sum()),
        balance=_build_balance_rows(page),
        splits=SPLIT_TITLES,
        sizes=page.images["split"].value_counts().to_dict(),
        groups=page.images.groupby("split")["group"].nunique().to_dict(),
        reasons=_count_left_out_reasons(page["splits"]),
        spreads=[
            x for x in (_draw_attribute_spread(page, *what) for what in ATTRIBUTE_CHARTS) if x
        ],
    )


def _draw_attribute_spread(
    page: ReportPage,
    attribute: str,
    heading: str,
    axis_title: str,
    bin_range: tuple[float, float, int],
) -> dict[str, Any]:
    """How an attribute is spread in each split: a chart and its table; {} where it is not known of any image."""
    table = page["attributes"]
    if attribute not in table or not table[attribute].notna().any():
        return {}
    bins = np.linspace(*bin_range)
    split = page.images["split"].reindex(table["image_id"]).to_numpy()
    lines, counts = [], {}
    for (key, word), tone in zip(SPLIT_TITLES, "abcd", strict=True):
        values = table.loc[split == key, attribute].dropna().to_numpy(float)
        if len(values):
            counts[word] = np.histogram(
                np.clip(values, bin_range[0], np.nextafter(bin_range[1], 0)), bins
            )[0]
            share = counts[word] / len(values)
            lines.append(
                c.ChartLine(
                    word.lower(),
                    list(zip((bins[:-1] + bins[1:]) / 2, share.tolist(), strict=True)),
                    tone,
                )
            )
    y = c.build_number_axis(100 * max(share for line in lines for _, share in line.points), "")
    shares = c.ChartAxis(0.0, y.high / 100, [(v / 100, f"{text} %") for v, text in y.ticks], "")
    x = c.ChartAxis(
        bin_range[0],
        bin_range[1],
        [(v, f"{v:.0f}") for v in np.linspace(bin_range[0], bin_range[1], 5)],
        axis_title,
    )
    rows = [
        {"from": f"{a:.0f} to {b:.0f}", "n": [int(n[k]) for n in counts.values()]}
        for k, (a, b) in _pair_bin_edges(bins)
    ]
    svg = c.draw_line_chart(
        lines, x, shares, f"{heading}: share of each split’s images by {axis_title}"
    )
    return {"heading": heading, "svg": svg, "rows": rows, "words": list(counts), "name": axis_title}


def _pair_bin_edges(bin_edges: NDArray[np.float64]) -> list[tuple[int, tuple[float, float]]]:
    return list(enumerate(zip(bin_edges[:-1].tolist(), bin_edges[1:].tolist(), strict=True)))


def _count_left_out_reasons(splits: pd.DataFrame) -> list[tuple[str, int]]:
    reasons = splits.loc[splits["split"] == "left_out", "reason"].dropna()
    return [(str(k), int(v)) for k, v in reasons.value_counts().head(10).items()]


def _describe_image(page: ReportPage, image_id: str | None) -> dict[str, Any] | None:
    if image_id is None or image_id not in page.images.index:
        return None
    row = page.images.loc[image_id]
    label: str = "" if pd.isna(row["label"]) else str(row["label"])
    return {
        "img": page.thumbnails.draw_thumbnail(image_id, str(row["path"])),
        "label": label,
        "path": str(row["path"]),
        "split": str(row["split"]),
    }


def _collect_label_issues(page: ReportPage) -> list[dict[str, Any]]:
    rows = [unwrap_row(r) for r in contact_sheets.select_label_issues(page).to_dict("records")]
    return [
        {
            **row,
            "this": _describe_image(page, row["image_id"]),
            "that": _describe_image(page, row["twin"]),
        }
        for row in rows
    ]


def _collect_duplicates(page: ReportPage) -> list[dict[str, Any]]:
    rows = [unwrap_row(r) for r in contact_sheets.select_duplicates(page).to_dict("records")]
    return [
        {
            **row,
            "this": _describe_image(page, row["image_id"]),
            "that": _describe_image(page, row["other_id"]),
        }
        for row in rows
    ]


def _build_balance_rows(page: ReportPage) -> list[dict[str, Any]]:
    table = page.images.dropna(subset=["label"]).groupby(["label", "split"]).size().to_dict()
    counts = {
        name: [int(table.get((name, key), 0)) for key, _ in SPLIT_TITLES]
        for name in page.class_names
    }
    most = max([sum(row) for row in counts.values()] or [0]) or 1
    rows = []
    for name, row in counts.items():
        starts = [sum(row[:k]) for k in range(len(row))]
        bars = [
            (round(200 * a / most, 2), round(200 * n / most, 2))
            for a, n in zip(starts, row, strict=True)
        ]
        rows.append({"name": name, "counts": row, "bars": bars})
    return rows
