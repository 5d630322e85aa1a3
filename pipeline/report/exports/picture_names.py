"""File names of the pictures beside the page."""

from __future__ import annotations

MATRIX_FILE = "confusion_matrix.png"
CURVES_FILE = "results.png"


def name_sheet(slice_name: str) -> str:
    """Return the file name of a slice's contact sheet."""
    return f"{slice_name}_images.png"


def name_dose_curve(slice_name: str) -> str:
    """Return the file name of a slice's dose-response curve."""
    return f"{slice_name}_dose.png"
