"""Error rates with and without the images whose label is in doubt."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipeline.report.report_page import ReportPage


def build_suspicion_rows(page: ReportPage) -> list[dict[str, Any]]:
    """Return the error rates of validation and of each confirmed slice, with and without suspects.

    Returns:
        Rows with name, slice (None for all images), suspects, and for `all_labels` and
        `without_suspects` the number of images and the error rates before and after; empty if no
        label of validation is in doubt.
    """
    if not page.suspected_ids.intersection(page.flips.index):
        return []
    rows = [_build_row(page, "All validation images", None, page.flips)]
    for row in page.confirmed_slices:
        members = page.flips.loc[page.slice_members.get(row["slice"], [])]
        rows.append(_build_row(page, row["title"], row["slice"], members))
    return rows


def _build_row(
    page: ReportPage, name: str, slice_name: str | None, images: pd.DataFrame
) -> dict[str, Any]:
    is_suspected = images["image_id"].isin(page.suspected_ids)
    return {
        "name": name,
        "slice": slice_name,
        "suspects": int(is_suspected.sum()),
        "all_labels": _count_errors(images),
        "without_suspects": _count_errors(images[~is_suspected]),
    }


def _count_errors(images: pd.DataFrame) -> dict[str, Any]:
    counts: dict[str, Any] = {"n": len(images)}
    for arm in ("before", "after"):
        is_wrong = images[arm] != images["label"]
        counts[arm] = float(is_wrong.mean()) if len(images) else None
    return counts
