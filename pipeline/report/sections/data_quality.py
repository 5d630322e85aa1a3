"""The data set: rejected files, duplicates, suspected labels, class balance, light, hours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.data.quality.group_inference import count_inferred_groups
from pipeline.data.quality.reach_forecast import forecast_reach
from pipeline.domain.group_source import INNER_GROUP_COLUMN
from pipeline.domain.split_exclusions import SplitExclusion
from pipeline.report.figures import contact_sheets
from pipeline.report.figures.charts import ChartAxis, ChartLine, build_percent_axis, draw_line_chart
from pipeline.report.figures.suspicion_rows import build_suspicion_rows
from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage, unwrap_rows
from pipeline.report.sentences.conditions.reach_sentences import (
    build_reach_rows,
    describe_reach_forecasts,
)
from pipeline.report.sentences.group_sentences import (
    describe_inferred_groups,
    describe_outer_groups,
)
from pipeline.report.sentences.split_sentences import describe_exclusion

TITLE = "Data quality"
TAB = "Data"
MAX_REJECTED_ROWS = 200  # rows that a reader can still scroll; the counts hold all
MAX_EXCLUSION_REASONS = 10
BALANCE_BAR_WIDTH = 200  # units of the SVG's view box
SPLIT_TITLES = {"train": "Training", "val": "Validation", "test": "Test", "left_out": "Excluded"}


@dataclass(frozen=True)
class AttributeHistogram:
    """The histogram of an attribute.

    Attributes:
        attribute: name of the attribute.
        heading: heading of its chart.
        axis_title: what the axis shows.
        low: start of the first bin.
        high: end of the last bin.
        bin_count: number of equal bins.
    """

    attribute: str
    heading: str
    axis_title: str
    low: float
    high: float
    bin_count: int


ATTRIBUTE_HISTOGRAMS = (
    AttributeHistogram("luminance", "Light", "luminance", 0.0, 256.0, 16),
    AttributeHistogram("hour", "Hours of the day", "hour of the day", 0.0, 24.0, 24),
)


def render(page: ReportPage) -> Markup:
    """Return rejected files, duplicates, suspected labels, and images, light and hours by split."""
    pairs = page["duplicates"]
    forecasts = forecast_reach(page["images"], page["splits"]["split"])
    issues = contact_sheets.select_label_issues(page)
    shown_pairs = contact_sheets.select_duplicates(page)
    histograms = []
    for histogram in ATTRIBUTE_HISTOGRAMS:
        chart = _draw_histogram(page, histogram)
        if chart:
            histograms.append(chart)
    return render_template(
        "data_quality.html",
        rejected=unwrap_rows(page["rejected"].head(MAX_REJECTED_ROWS)),
        rejected_count=len(page["rejected"]),
        image_count=len(page.images),
        issues=_pair_images(page, issues, "twin"),
        issue_count=len(page["label_issues"]),
        suspicion_rows=build_suspicion_rows(page),
        has_targeted_arm=page.has_targeted_arm,
        black_paths=page.images.loc[sorted(page.black_image_ids), "path"].sort_values().tolist(),
        duplicates=_pair_images(page, shown_pairs, "other_id"),
        duplicate_count=len(pairs),
        leak_count=int(pairs["across_splits"].astype(bool).sum()),
        exact_count=int((pairs["kind"] == "exact").sum()),
        conflicting_count=int((~pairs["same_label"].astype(bool)).sum()),
        balance=_build_balance_rows(page),
        splits=list(SPLIT_TITLES.items()),
        group_lines=_describe_groups(page.images),
        sizes=page.images["split"].value_counts().to_dict(),
        groups=page.images.groupby("split")["group"].nunique().to_dict(),
        reasons=_count_exclusion_reasons(page["splits"]),
        histograms=histograms,
        reach_lines=describe_reach_forecasts(forecasts),
        reach_rows=build_reach_rows(forecasts, page["policy"].get("test_reach") or []),
    )


def _describe_groups(images: pd.DataFrame) -> list[str]:
    """Return sentences on inferred and on nested groups; reports of older runs have none."""
    if "group_source" not in images:
        return []
    if INNER_GROUP_COLUMN not in images:
        return describe_inferred_groups(count_inferred_groups(images))
    inner = images[INNER_GROUP_COLUMN]
    lines = describe_inferred_groups(count_inferred_groups(images.assign(group=inner)))
    return [*lines, describe_outer_groups(inner.nunique(), images["group"].nunique())]


def _draw_histogram(page: ReportPage, histogram: AttributeHistogram) -> dict[str, Any] | None:
    """Return the chart and table of an attribute by split; None if it is unknown of every image."""
    table = page["attributes"]
    if histogram.attribute not in table or not table[histogram.attribute].notna().any():
        return None
    edges = np.linspace(histogram.low, histogram.high, histogram.bin_count + 1)
    centers = ((edges[:-1] + edges[1:]) / 2).tolist()
    last_value = np.nextafter(histogram.high, 0)
    splits = page.images["split"].reindex(table["image_id"]).to_numpy()
    lines, counts = [], {}
    for (split, title), style in zip(SPLIT_TITLES.items(), "abcd", strict=True):
        values = table.loc[splits == split, histogram.attribute].dropna().to_numpy(float)
        if len(values):
            counts[title], _ = np.histogram(np.clip(values, histogram.low, last_value), edges)
            shares = (counts[title] / len(values)).tolist()
            lines.append(ChartLine(title.lower(), list(zip(centers, shares, strict=True)), style))
    tick_values = np.linspace(histogram.low, histogram.high, 5).tolist()
    ticks = [(value, f"{value:.0f}") for value in tick_values]
    x = ChartAxis(histogram.low, histogram.high, ticks, histogram.axis_title)
    highest = max(share for line in lines for _, share in line.points)
    alt_text = f"{histogram.heading}: share of each split’s images by {histogram.axis_title}"
    rows = []
    for k in range(histogram.bin_count):
        bin_counts = [int(split_counts[k]) for split_counts in counts.values()]
        rows.append({"range": f"{edges[k]:.0f} to {edges[k + 1]:.0f}", "counts": bin_counts})
    return {
        "heading": histogram.heading,
        "svg": draw_line_chart(lines, x, build_percent_axis(highest), alt_text),
        "rows": rows,
        "split_titles": list(counts),
        "axis_title": histogram.axis_title,
    }


def _count_exclusion_reasons(splits: pd.DataFrame) -> list[tuple[str, int]]:
    reasons = splits.loc[splits["split"] == "left_out", "reason"].dropna().value_counts()
    counts = []
    for reason, n in reasons.head(MAX_EXCLUSION_REASONS).items():
        counts.append((describe_exclusion(SplitExclusion.parse_json(str(reason))), n))
    return counts


def _describe_image(page: ReportPage, image_id: str | None) -> dict[str, Any] | None:
    if image_id is None or image_id not in page.images.index:
        return None
    image = page.images.loc[image_id]
    return {
        "thumbnail": page.thumbnails.draw_thumbnail(image_id, str(image["path"])),
        "label": "" if pd.isna(image["label"]) else str(image["label"]),
        "path": str(image["path"]),
        "split": SPLIT_TITLES.get(str(image["split"]), "unknown split").lower(),
    }


def _pair_images(page: ReportPage, table: pd.DataFrame, other_column: str) -> list[dict[str, Any]]:
    """Return the rows with both images: `first` (image_id) and `second` (of `other_column`)."""
    rows = unwrap_rows(table)
    for row in rows:
        row["first"] = _describe_image(page, row["image_id"])
        row["second"] = _describe_image(page, row[other_column])
    return rows


def _build_balance_rows(page: ReportPage) -> list[dict[str, Any]]:
    """Return the images of each class by split, with stacked bars (start, length)."""
    labeled = page.images.dropna(subset=["label"])
    table = pd.crosstab(labeled["label"], labeled["split"])
    table = table.reindex(index=page.class_names, columns=list(SPLIT_TITLES), fill_value=0)
    counts: NDArray[np.int64] = np.asarray(table, dtype=np.int64)
    scale = BALANCE_BAR_WIDTH / max(int(counts.sum(axis=1).max()), 1)
    starts = (counts.cumsum(axis=1) - counts) * scale
    bars = np.round(np.stack([starts, counts * scale], axis=2), 2)
    rows = []
    for index, name in enumerate(page.class_names):
        rows.append({"name": name, "counts": counts[index].tolist(), "bars": bars[index].tolist()})
    return rows
