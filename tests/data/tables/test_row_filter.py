"""Filters on rows in a config: pipeline/data/tables/row_filter.py."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts import InputError
from pipeline.data.tables.row_filter import evaluate_row_filter

TABLE = pd.DataFrame(
    {
        "luminance": [10.0, 80.0, np.nan],
        "camera": ["n", "s", None],
        "flash": [True, False, True],
        "captured_at": pd.to_datetime(["2024-05-31 22:00", "2024-06-02 00:00", None]),
    }
).astype({"camera": "str"})


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("luminance >= 70", [False, True, False]),
        ("not luminance >= 70", [True, False, True]),
        ("5 < luminance < 20", [True, False, False]),
        ("luminance > -1 and camera == 'n'", [True, False, False]),
        ("luminance >= 70 or flash", [True, True, True]),
        ("camera in ['n', 'x']", [True, False, False]),
        ("camera not in ('n', 'x')", [False, True, True]),
        ("captured_at >= '2024-06-01'", [False, True, False]),
        ("flash", [True, False, True]),
    ],
)
def test_filter_selects_rows(expression: str, expected: list[bool]) -> None:
    assert evaluate_row_filter(expression, TABLE, "split.train_where").tolist() == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("luminence > 3", r"split\.train_where: no column 'luminence'; did you mean luminance"),
        ("contrast > 3", r"split\.train_where: 'contrast' was renamed: write contrast_level"),
        ("luminance >", "is not an expression"),
        ("luminance = 3", "is not an expression"),
        ("", "is not an expression"),
        ("@pd.io", "is not an expression"),
        ("__import__('os').system('true')", "found Call"),
        ("luminance.__class__ == 3", "found Attribute"),
        ("(lambda: 1) == luminance", "found Lambda"),
        ("luminance[0] > 3", "found Subscript"),
        ("luminance ** 999999 > 3", "found BinOp"),
        ("luminance", "not true or false"),
        ("luminance > 'dark'", "luminance > 'dark'"),
        ("3 > 2", "not true or false"),
    ],
)
def test_other_expressions_are_refused_in_one_line(expression: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        evaluate_row_filter(expression, TABLE, "split.train_where")
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="ab01 ()[]'\"<>=!@`.,:_+-*/&|~%andortinfl", max_size=25))
def test_any_text_is_a_filter_or_one_line(text: str) -> None:
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    with suppress(InputError):  # any other error is a defect
        assert evaluate_row_filter(text, table, "train.where").shape == (2,)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "@pd.eval('1')",
        "a.values",
        "`a`.map(print)",
        "a == (b := 1)",
        "not " * 20_000 + "a",
        "(" * 300 + "a" + ")" * 300,
    ],
)
def test_code_and_depth_are_one_line(text: str) -> None:
    table = pd.DataFrame({"a": [1, 2]})
    with pytest.raises(InputError, match=r"train\.where") as caught:
        evaluate_row_filter(text, table, "train.where")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
