"""The error of undecided data: pipeline/data/layout/undecided_data.py."""

from __future__ import annotations

from pipeline.data.layout.undecided_data import UndecidedDataError


def test_error_is_bad_input_with_the_settings_that_decide() -> None:
    error = UndecidedDataError("two readings", ["class_level: top"])
    assert (str(error), error.settings, error.exit_code) == (
        "two readings",
        ("class_level: top",),
        2,
    )
