"""The confusion matrices of a run's validation photos, drawn and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

INCHES, MOST_INCHES, READABLE = 0.35, 20.0, 20


def write_matrices(summary: Mapping[str, Any], folder: Path) -> None:
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
            _draw(cells.pivot_table(side, "true", "predicted", fill_value=0), names, folder / f"{side}.png", side)


def _draw(counts: pd.DataFrame, names: list[str], path: Path, title: str) -> None:
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay

    size = min(3 + INCHES * len(names), MOST_INCHES)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    whole = counts.reindex(index=names, columns=names, fill_value=0).to_numpy().astype(int)
    shown = ConfusionMatrixDisplay(whole, display_labels=names)
    axes = figure.subplots()
    shown.plot(ax=axes, cmap="Blues", xticks_rotation="vertical", include_values=len(names) <= READABLE)
    axes.set_title(f"validation, {title}")
    figure.savefig(path, dpi=100)
