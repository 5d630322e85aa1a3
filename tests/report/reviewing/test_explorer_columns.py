import numpy as np
import pandas as pd

from pipeline.report.reviewing.explorer_columns import (
    FIRST_CODE,
    LEVEL_COUNT,
    MISSING_CODE,
    build_choices,
    build_scales,
    select_scale_columns,
    select_user_columns,
)


def test_numbers_become_levels_between_the_ends_of_the_scale() -> None:
    values = pd.Series([*np.linspace(0.0, 48.0, 1000), 1e9, np.nan, np.inf])
    (scale,) = build_scales({"size_of_file": values})
    levels = [ord(code) - FIRST_CODE for code in scale["codes"] if code != MISSING_CODE]
    assert scale["name"] == "size of file"
    assert scale["high"] < 50, "an outlier does not squeeze the others"
    assert levels == sorted(levels)
    assert (levels[0], levels[-1]) == (0, LEVEL_COUNT - 1)
    assert scale["codes"][-2:] == 2 * MISSING_CODE


def test_a_level_holds_the_values_from_its_lower_end() -> None:
    (scale,) = build_scales({"hour": pd.Series([0.0, 5.9, 6.0, 23.9])})
    assert [ord(code) - FIRST_CODE for code in scale["codes"]] == [0, 11, 12, 47]
    assert (scale["low"], scale["high"]) == (0.0, 24.0)


def test_a_column_of_one_value_has_no_histogram() -> None:
    assert build_scales({"tilt": pd.Series([1.0, 1.0, np.nan])}) == []


def test_names_are_listed_and_numbers_are_not() -> None:
    n = 60
    table = pd.DataFrame(
        {
            "camera": ["north", None] + ["south"] * (n - 2),
            "device": [1, 2, 3] * (n // 3),
            "weight": np.linspace(0, 1, n),
            "file": [f"f{k}" for k in range(n)],
            "site": "one",
            "seen": pd.date_range("2026-01-01", periods=n),
        }
    )
    choices = {choice["name"]: choice for choice in build_choices(table)}
    assert list(choices) == ["camera", "device"]
    assert choices["camera"]["values"] == ["north", "south"]
    assert choices["camera"]["codes"][:3] == [0, -1, 1]
    assert list(select_scale_columns(table)) == ["weight"]


def test_a_user_column_never_takes_the_name_of_a_filter() -> None:
    images = pd.DataFrame({"image_id": ["a"], "path": ["p"], "Slice": ["x"], "camera": ["n"]})
    assert list(select_user_columns(images)) == ["Slice (column)", "camera"]
