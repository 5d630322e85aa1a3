"""The confusion matrices of a run's validation images, drawn and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

INCHES_PER_CLASS, MAX_FIGURE_INCHES, MAX_ANNOTATED_CLASSES = 0.35, 20.0, 20


def write_confusion_matrices(summary: Mapping[str, Any], folder: Path) -> None:
    """Write `confusion.csv` (true, predicted, before, after) and, drawn from it, `before.png` and `after.png`.

    Up to `READABLE` classes each cell holds its count. Where the run has no matrix, nothing is written.
    """
    cells = pd.DataFrame(summary["confusion"])
    if cells.empty:
        return
    cells.to_csv(folder / "confusion.csv", index=False)
    names = [str(name) for name in summary["data"]["classes"]]
    for side in ("before", "after"):
        if cells[side].notna().all():
            _draw_matrix(
                cells.pivot_table(side, "true", "predicted", fill_value=0),
                names,
                folder / f"{side}.png",
                side,
            )


def _draw_matrix(counts: pd.DataFrame, class_names: list[str], path: Path, title: str) -> None:
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay

    size = min(3 + INCHES_PER_CLASS * len(class_names), MAX_FIGURE_INCHES)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    whole = (
        counts.reindex(index=class_names, columns=class_names, fill_value=0).to_numpy().astype(int)
    )
    shown = ConfusionMatrixDisplay(whole, display_labels=class_names)
    axes = figure.subplots()
    shown.plot(
        ax=axes,
        cmap="Blues",
        xticks_rotation="vertical",
        include_values=len(class_names) <= MAX_ANNOTATED_CLASSES,
    )
    axes.set_title(f"validation, {title}")
    figure.savefig(path, dpi=100)
