"""The data of the page's script: classes, images, slices, filters, map and decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.report.figures.matrix_cells import (
    MAX_WHOLE_CLASSES,
    ConfusionCounts,
    select_confused_classes,
)
from pipeline.report.figures.thumbnails import encode_heat_map
from pipeline.report.report_page import ReportPage
from pipeline.report.reviewing.explorer_columns import select_user_columns
from pipeline.report.reviewing.explorer_filters import (
    build_column_filters,
    name_slices,
    order_by_need,
    order_rows,
)
from pipeline.report.sections.embedding_map import build_map_points
from pipeline.report.sentences.number_format import format_plugin_name, format_rule
from pipeline.storage.review_decisions import MAX_TEXT_LENGTH

_TIME_ATTRIBUTES = ["hour", "day"]  # the image's window shows the capture time itself
SHORT_COLUMNS = ("path", "label", "before", "after", "group")
"""Columns of every row."""
DETAIL_COLUMNS = (
    "control",
    "p_before",
    "p_after",
    "captured_at",
    "split",
    "attribute_values",
    "user_values",
    "top_predictions",
    "image_id",
)
"""Further columns of the rows that the page holds an image of; these rows come first."""


def build_payload(page: ReportPage) -> dict[str, Any]:
    """Return the data of the script.

    A row is an image: first those that the page holds, then the other validation images, so that
    filters and counts are over all of them. `order` lists the validation images. `table` has the
    `SHORT_COLUMNS`, `details` the rows of `DETAIL_COLUMNS`.
    """
    stored_ids = list(page.thumbnails.positions)
    rows = order_rows(page)
    choices, scales = build_column_filters(page, rows)
    attributes = page["attributes"].set_index("image_id").select_dtypes("number")
    window_attributes = attributes.drop(columns=_TIME_ATTRIBUTES, errors="ignore")
    user_columns = select_user_columns(page.images)
    is_merged = len(page.class_names) > MAX_WHOLE_CLASSES
    group_codes, group_names = pd.factorize(page.images["group"].reindex(rows).astype("str"))
    row_numbers = {image_id: row for row, image_id in enumerate(rows)}
    return {
        "classes": page.class_names,
        "kept_classes": select_confused_classes(page.confusion_matrices),
        "has_targeted_arm": page.has_targeted_arm,
        "order": [row_numbers[image_id] for image_id in order_by_need(page)],
        "table": _build_table(page, rows) | {"group": group_codes.tolist()},
        "groups": list(map(str, group_names)),
        "detail_columns": DETAIL_COLUMNS,
        "details": _build_details(page, stored_ids, window_attributes, user_columns),
        "scales": scales,
        "choices": choices,
        "thumbnails": page.thumbnails.list_undrawn(),
        "attributes": list(map(format_plugin_name, map(str, window_attributes.columns))),
        "user_columns": list(map(str, user_columns.columns)),
        "suspected": _list_suspected(page, row_numbers),
        "slices": _build_slices(page, row_numbers),
        "cells": _list_nonzero_cells(*page.confusion_matrices) if is_merged else [],
        "heat_maps": _encode_heat_maps(page),
        "map_points": build_map_points(page, row_numbers),
        "run_id": page.run_id,
        "reviews": page.reviews,
    }


def _list_nonzero_cells(before: ConfusionCounts, after: ConfusionCounts) -> list[list[int]]:
    """Return [label, prediction, before, after] of every cell that holds an image."""
    labels, predictions = np.nonzero(before + after)
    counts = (labels, predictions, before[labels, predictions], after[labels, predictions])
    cells: list[list[int]] = np.stack(counts, axis=1).tolist()
    return cells


def _encode_heat_maps(page: ReportPage) -> dict[int, list[str]]:
    """Return the heat maps before and after as base64, by the image's number on the page."""
    if page.thumbnails.mode == "none":
        return {}
    rows = page.flips.loc[page.flips["saliency"] >= 0, "saliency"]
    encoded = {}
    for image_id, row in rows.items():
        if image_id in page.thumbnails:
            before, after = page["saliency"][row]
            position = page.thumbnails.positions[str(image_id)]
            encoded[position] = [
                encode_heat_map(np.asarray(before)),
                encode_heat_map(np.asarray(after)),
            ]
    return encoded


def _list_top_predictions(page: ReportPage, image_id: str) -> list[list[int]]:
    """Return class index and probability in thousandths, by turns, before and after."""
    models = []
    for ranked in page.top_predictions.get(image_id, ()):
        flat: list[int] = []
        for class_index, share in ranked:
            flat += (class_index, round(1000 * share))
        models.append(flat)
    return models


def _list_suspected(page: ReportPage, row_numbers: dict[str, int]) -> dict[int, list[Any]]:
    """Return [suggested class or -1, its probability, kind] of each label in doubt, by row."""
    issues = page["label_issues"]
    issues = issues[issues["image_id"].isin(row_numbers)]
    columns = (
        map(row_numbers.__getitem__, issues["image_id"]),
        _index_classes(page, issues["suggested"]),
        _round_decimals(issues["confidence"]),
        map(str, issues["kind"]),
    )
    return {row: [suggested, p, kind] for row, suggested, p, kind in zip(*columns, strict=True)}


def _build_slices(page: ReportPage, row_numbers: dict[str, int]) -> list[dict[str, Any]]:
    """Return the confirmed slices: the images tested, and all that the rule admits, as rows."""
    slices, names = [], name_slices(page)
    val_ids = page.validation_set.image_ids.astype("str").to_numpy()
    for row in page.confirmed_slices:
        name = row["slice"]
        members = page.slice_members.get(name, [])
        admitted = filter(row_numbers.__contains__, val_ids[page.rule_masks[name]])
        rule_text = page.frozen_rules[name].format_text()
        review = page.slice_reviews.get(name, {})
        slices.append(
            {
                "slice": name,
                "title": row["title"],
                "name": names[name],
                "review": {
                    "key": str(review.get("key", rule_text[:MAX_TEXT_LENGTH])),
                    "words": str(row["title"])[:MAX_TEXT_LENGTH],
                    "rule": page.frozen_rules[name].dump_json(),
                },
                "rule_text": format_rule(rule_text),
                "n": len(members),
                "images": sorted(map(row_numbers.__getitem__, members)),
                "admitted": sorted(map(row_numbers.__getitem__, admitted)),
            }
        )
    return slices


def _build_table(page: ReportPage, rows: Sequence[str]) -> dict[str, list[Any]]:
    """Return the columns `SHORT_COLUMNS` but the group."""
    images, flips = page.images.loc[list(rows)], page.flips.reindex(list(rows))
    return {
        "path": list(map(str, images["path"])),
        "label": _index_classes(page, images["label"]),
        "before": _index_classes(page, flips["before"]),
        "after": _index_classes(page, flips["after"]),
    }


def _build_details(
    page: ReportPage, image_ids: Sequence[str], attributes: pd.DataFrame, user_columns: pd.DataFrame
) -> list[list[Any]]:
    """Return the columns `DETAIL_COLUMNS` of these images, row by row."""
    ids = list(image_ids)
    images, flips = page.images.loc[ids], page.flips.reindex(ids)
    own = user_columns.loc[ids].astype("str").where(user_columns.loc[ids].notna(), "")
    columns = (
        _index_classes(page, flips["control"]),
        _round_decimals(flips["p_before"]),
        _round_decimals(flips["p_after"]),
        images["captured_at"].dt.strftime("%Y-%m-%d %H:%M").fillna(""),
        images["split"],
        _round_digits(attributes.reindex(ids)),
        own.to_numpy().tolist(),
        [_list_top_predictions(page, image_id) for image_id in ids],
        ids,
    )
    return list(map(list, zip(*columns, strict=True)))


def _index_classes(page: ReportPage, names: pd.Series[str]) -> list[int]:
    """Return class indices, -1 for unknown."""
    indices: list[int] = pd.Index(page.class_names).get_indexer(pd.Index(names)).tolist()
    return indices


def _round_decimals(shares: pd.Series[float]) -> list[float | None]:
    """Return shares with four decimals, None for unknown."""
    return [None if np.isnan(share) else round(float(share), 4) for share in shares]


def _round_digits(attributes: pd.DataFrame) -> list[list[float | None]]:
    """Return the rows with three significant digits, None for unknown."""
    rows = []
    for values in attributes.to_numpy(float):
        rows.append([None if np.isnan(value) else float(f"{value:.3g}") for value in values])
    return rows
