"""Pictures beside the page: confusion matrices, contact sheets, dose-response and training curves.

They carry the names by which other tools made them known: `confusion_matrix.png`, `results.png`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.exports.picture_names import (
    CURVES_FILE,
    MATRIX_FILE,
    name_dose_curve,
    name_sheet,
)
from pipeline.report.figures.contact_sheets import choose_contact_sheet
from pipeline.report.figures.dose_response_charts import build_dose_response_table
from pipeline.report.figures.matrix_cells import (
    OTHER_CLASS_NAME,
    ConfusionCounts,
    merge_other_classes,
    select_confused_classes,
)
from pipeline.report.figures.thumbnails import blur_image
from pipeline.report.report_page import ReportPage
from pipeline.report.sentences.strength_format import describe_strength_axis, format_strength

MAX_PICTURED_SLICES = 6
"""Slices with a contact sheet and a curve; a pull request shows no more at a glance."""
SHEET_COLUMNS, SHEET_ROWS = 6, 2
IMAGE_INCHES = 1.35
MAX_NAME_LETTERS = 24
MAX_NUMBERED_CLASSES = 12
"""Classes up to which the cells of a matrix have room for their counts."""
DOTS_PER_INCH = 110
_GOOD, _BAD, _INK = "#14664c", "#a33b12", "#1b2230"


def save_pictures(page: ReportPage, folder: Path) -> list[str]:
    """Draw the pictures of a page into a folder, and return their file names.

    A page without images has no contact sheets, and one with blurred images blurred ones.
    """
    figures: dict[str, Figure | None] = {}
    # A dollar sign in the name of a class begins no formula.
    with rc_context({"text.parse_math": False, "font.size": 9, "axes.edgecolor": _INK}):
        figures[MATRIX_FILE] = _draw_matrices(page)
        figures[CURVES_FILE] = _draw_training_curves(page["history"])
        for row in page.confirmed_slices[:MAX_PICTURED_SLICES]:
            figures[name_sheet(row["slice"])] = _draw_sheet(page, row)
            figures[name_dose_curve(row["slice"])] = _draw_dose_curve(page, row)
        drawn = {name: figure for name, figure in figures.items() if figure is not None}
        for name, figure in drawn.items():
            _save_figure(figure, folder / name)
    return list(drawn)


def _save_figure(figure: Figure, path: Path) -> None:
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box; the page has the text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Software": None})


def _shorten(text: str, max_letters: int = MAX_NAME_LETTERS) -> str:
    return text if len(text) <= max_letters else text[: max_letters - 1] + "…"


def _draw_matrices(page: ReportPage) -> Figure | None:
    """Return the confusion matrices before and after, side by side."""
    if page.flips.empty:
        return None
    matrices = page.confusion_matrices
    kept = select_confused_classes(matrices)
    names = [_shorten(page.class_names[index]) for index in kept]
    if len(kept) < len(page.class_names):
        names.append(OTHER_CLASS_NAME)
    titles = ("before", "after") if page.has_targeted_arm else ("predictions",)
    side = 2.4 + 0.24 * len(names) + 0.08 * max(map(len, names))
    figure = Figure(figsize=(side * len(titles), side), layout="constrained")
    for axes, title, counts in zip(
        figure.subplots(1, len(titles), squeeze=False)[0], titles, matrices, strict=False
    ):
        _draw_matrix(axes, merge_other_classes(counts, kept), names)
        axes.set_title(f"{title}: {np.trace(counts):,} of {counts.sum():,} correct")
    return figure


def _draw_matrix(axes: Axes, counts: ConfusionCounts, names: Sequence[str]) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(names))
    axes.set_xticks(ticks, names, rotation=90 if len(names) > 4 else 0)
    axes.set_yticks(ticks, names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("label")
    if len(names) > MAX_NUMBERED_CLASSES:
        return
    for label, predicted in np.ndindex(counts.shape):
        color = "white" if shares[label, predicted] > 0.5 else _INK
        text = f"{counts[label, predicted]:,}"
        axes.text(predicted, label, text, ha="center", va="center", color=color)


def _draw_training_curves(history: pd.DataFrame) -> Figure | None:
    """Return loss and accuracy by step on training images and holdout."""
    if history.empty:
        return None
    figure = Figure(figsize=(7.5, 2.8), layout="constrained")
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, rows in history.sort_values("step").groupby("split"):
            known = rows.dropna(subset=[metric])
            axes.plot(known["step"], known[metric], label=str(split))
        axes.set(title=metric, xlabel="step")
        axes.legend(frameon=False)
    return figure


def _draw_sheet(page: ReportPage, explanation: dict[str, Any]) -> Figure | None:
    """Return images of a slice with their label and predictions, misclassified ones first."""
    image_ids = choose_contact_sheet(page, explanation["slice"])[: SHEET_COLUMNS * SHEET_ROWS]
    if page.thumbnails.mode == "none" or not image_ids:
        return None
    rows = -(-len(image_ids) // SHEET_COLUMNS)
    size = (SHEET_COLUMNS * IMAGE_INCHES, rows * (IMAGE_INCHES + 0.55) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(_shorten(explanation["title"], 100), fontweight="bold")
    row_numbers = pd.Series(range(len(page["images"])), page["images"]["image_id"])
    grid = figure.subplots(rows, SHEET_COLUMNS, squeeze=False).flat
    for axes in grid:
        axes.axis("off")
    for axes, image_id in zip(grid.base.flat, image_ids, strict=False):
        pixels = np.asarray(page["pixels"][row_numbers[image_id]])
        axes.imshow(blur_image(pixels) if page.thumbnails.mode == "blurred" else pixels)
        _caption_image(axes, page.flips_by_image[image_id], page.has_targeted_arm)
    return figure


def _caption_image(axes: Axes, flip: dict[str, Any], has_after: bool) -> None:
    axes.set_title(_shorten(flip["label"], 18), fontsize=8)
    for line, arm in enumerate(("before", "after") if has_after else ("before",)):
        is_correct = flip[arm] == flip["label"]
        text = f"{'✓' if is_correct else '✗'} {_shorten(flip[arm], 14)}"
        place = axes.text(0.5, -0.04 - 0.14 * line, text, transform=axes.transAxes, fontsize=8)
        place.set(ha="center", va="top", color=_GOOD if is_correct else _BAD)


def _draw_dose_curve(page: ReportPage, explanation: dict[str, Any]) -> Figure | None:
    """Return the accuracy of a slice and of all others at each strength of its cause."""
    remedy = explanation["cause"] or explanation["remedy"]
    if remedy is None:
        return None
    table = build_dose_response_table(page, explanation["slice"], remedy)
    if len(table) < 2 or table["inside"].isna().all():
        return None
    figure = Figure(figsize=(5, 2.8), layout="constrained")
    axes = figure.subplots()
    places = range(len(table))
    axes.plot(places, 100 * table["inside"], "o-", color="#c98a1b", label="this slice")
    axes.plot(places, 100 * table["outside"], "o--", color="#3f6ea8", label="all others")
    axes.set_xticks(places, [format_strength(remedy, strength) for strength in table["strength"]])
    axes.set(xlabel=describe_strength_axis(remedy), ylabel="correct, %")
    axes.set_title(_shorten(explanation["title"], 60))
    axes.legend(frameon=False)
    return figure
