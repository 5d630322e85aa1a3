"""The dose-response curve of a slice: accuracy at each strength of a remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.remedies import load_remedy
from pipeline.report.figures.charts import (
    ChartAxis,
    ChartLine,
    ChartMark,
    build_share_axis,
    draw_line_chart,
)
from pipeline.report.report_page import ReportPage, unwrap_rows
from pipeline.report.sentences.number_format import format_percent, format_plugin_name
from pipeline.report.sentences.strength_format import (
    describe_strength_axis,
    format_remedy_strength,
    format_strength,
)

AXIS_MARGIN = 0.02  # room of an axis of shares below its lowest value


def _get_neutral_strength(remedy: str) -> float | None:
    try:
        value = load_remedy(remedy).NEUTRAL_STRENGTH
    except (KeyError, ImportError):
        return None
    return None if value is None else float(value)


def _is_probed_member(page: ReportPage, slice_name: str) -> NDArray[np.bool_]:
    """Return bool [probed], whether each probed image is in the slice."""
    val = page.validation_set
    members = page.slice_members.get(slice_name, [])
    return np.asarray(val.image_ids.isin(members).to_numpy()[val.probed_rows], dtype=np.bool_)


def build_dose_response_table(page: ReportPage, slice_name: str, remedy: str) -> pd.DataFrame:
    """Return the accuracy inside and outside a slice at each strength of a remedy.

    Args:
        page: the page.
        slice_name: name of the slice.
        remedy: name of the remedy.

    Returns:
        Columns strength, inside and outside: weighted shares of the probed images, NaN without an
        image on which it was tried. The rows include the neutral strength.
    """
    val, table = page.validation_set, page["dose_response"].reset_index(drop=True)
    labels, is_inside = val.labels[val.probed_rows], _is_probed_member(page, slice_name)
    responses = np.asarray(val.responses, dtype=np.intp)
    cell_weights = val.probe_results.cell_weights
    measured = {}
    for column in np.flatnonzero(table["remedy"] == remedy):
        measured[float(table["strength"][column])] = (responses[:, column], cell_weights[:, column])
    neutral = _get_neutral_strength(remedy)
    if neutral is not None:
        unchanged = val.predictions[val.probed_rows]
        measured.setdefault(neutral, (unchanged, np.asarray(val.probe_weights)))
    rows = []
    for strength in sorted(measured):
        predictions, weights = measured[strength]
        is_correct = predictions == labels
        inside = _compute_weighted_mean(is_correct, weights, is_inside)
        outside = _compute_weighted_mean(is_correct, weights, ~is_inside)
        rows.append((strength, inside, outside))
    return pd.DataFrame(rows, columns=["strength", "inside", "outside"])


def _compute_weighted_mean(
    is_correct: NDArray[np.bool_], weights: NDArray[np.float64], is_selected: NDArray[np.bool_]
) -> float:
    total = float(weights[is_selected].sum())
    return float((is_correct * weights)[is_selected].sum() / total) if total else float("nan")


def count_intervention_effects(
    page: ReportPage, slice_name: str, remedy: str | None, strength: float | None
) -> dict[str, int] | None:
    """Return what one intervention does to the images of a slice that it was tried on.

    Args:
        page: the page.
        slice_name: name of the slice.
        remedy: name of the remedy.
        strength: its strength.

    Returns:
        Counts of images: misclassified, correct; repaired (of the misclassified) and broken (of the
        correct). None if it was not probed.
    """
    table = page["dose_response"].reset_index(drop=True)
    columns = np.flatnonzero((table["remedy"] == remedy) & (table["strength"] == strength))
    is_inside = _is_probed_member(page, slice_name)
    results = page.validation_set.probe_results
    if len(columns):
        is_inside &= results.is_asked[:, columns[0]]
    if not len(columns) or not is_inside.any():
        return None
    correct, after = results.correct[is_inside], results.after[is_inside, columns[0]]
    return {
        "misclassified": int(np.sum(~correct)),
        "correct": int(np.sum(correct)),
        "repaired": int(np.sum(~correct & after)),
        "broken": int(np.sum(correct & ~after)),
    }


def draw_dose_response(
    page: ReportPage, slice_name: str, remedy: str | None
) -> dict[str, Any] | None:
    """Return the dose-response curve of a slice with its table.

    Args:
        page: the page.
        slice_name: name of the slice.
        remedy: name of the remedy.

    Returns:
        svg, rows of the table, caption and heading; None for fewer than two strengths.
    """
    if remedy is None:
        return None
    table = build_dose_response_table(page, slice_name, remedy)
    if len(table) < 2 or table["inside"].isna().all():
        return None
    strengths = table["strength"].tolist()
    ticks = [(float(k), format_strength(remedy, strength)) for k, strength in enumerate(strengths)]
    x = ChartAxis(0, len(table) - 1, ticks, describe_strength_axis(remedy))
    lines = [
        ChartLine("this slice", _list_known_points(table["inside"]), "a"),
        ChartLine("all others", _list_known_points(table["outside"]), "b"),
    ]
    neutral = _get_neutral_strength(remedy)
    marks = [ChartMark(strengths.index(neutral), "unchanged")] if neutral in strengths else []
    best = table.sort_values("inside", ascending=False).iloc[0]
    intervention = format_remedy_strength(remedy, float(best["strength"]))
    if best["strength"] == neutral:
        intervention = "no change"
    caption = f"Highest for the slice with {intervention}: {format_percent(best['inside'])} correct"
    lowest = float(np.nanmin(table[["inside", "outside"]].to_numpy()))
    svg = draw_line_chart(lines, x, build_share_axis(lowest - AXIS_MARGIN), f"{caption}.", marks)
    rows = unwrap_rows(table)
    for row in rows:
        is_neutral = row["strength"] == neutral
        row["strength_text"] = (
            "unchanged" if is_neutral else format_remedy_strength(remedy, row["strength"])
        )
    heading = format_plugin_name(remedy)
    return {"svg": svg, "rows": rows, "caption": caption, "heading": heading}


def _list_known_points(shares: pd.Series[float]) -> list[tuple[float, float]]:
    known = shares.reset_index(drop=True).dropna()
    return list(zip(known.index.astype(float), known.astype(float), strict=True))
