"""The confusion matrices of a run's validation images, as a table and as charts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.storage.csv_tables import write_csv

# Side of a chart for each class, so that the class names do not overlap.
INCHES_PER_CLASS = 0.35
# Room for the title and the axes.
MARGIN_INCHES = 3.0
# Largest side: 2,000 pixels at 100 dots per inch, which MLflow still displays.
MAX_FIGURE_INCHES = 20.0
DOTS_PER_INCH = 100
# With more classes than this the counts in the cells cannot be read.
MAX_ANNOTATED_CLASSES = 20


def write_confusion_matrices(summary: Mapping[str, Any], folder: Path) -> None:
    """Write `confusion.csv` (true, predicted, before, after), `before.png` and `after.png`.

    A run without a confusion matrix writes nothing.

    Args:
        summary: the run's summary.
        folder: an existing folder.
    """
    cells = pd.DataFrame(summary["confusion"])
    if cells.empty:
        return
    write_csv(folder / "confusion.csv", cells)
    class_names = [str(name) for name in summary["data"]["classes"]]
    for model in ("before", "after"):
        if cells[model].notna().all():
            counts = cells.pivot_table(model, "true", "predicted", fill_value=0)
            _draw_matrix(counts, class_names, folder / f"{model}.png", f"validation, {model}")


def _draw_matrix(counts: pd.DataFrame, class_names: list[str], path: Path, title: str) -> None:
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay

    side = min(MARGIN_INCHES + INCHES_PER_CLASS * len(class_names), MAX_FIGURE_INCHES)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    matrix = counts.reindex(index=class_names, columns=class_names, fill_value=0)
    display = ConfusionMatrixDisplay(matrix.to_numpy().astype(int), display_labels=class_names)
    axes = figure.subplots()
    display.plot(
        ax=axes,
        cmap="Blues",
        xticks_rotation="vertical",
        include_values=len(class_names) <= MAX_ANNOTATED_CLASSES,
    )
    axes.set_title(title)
    figure.savefig(path, dpi=DOTS_PER_INCH)
