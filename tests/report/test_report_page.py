import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from jinja2 import UndefinedError

from pipeline.report.report_page import ReportPage, render_template, unwrap_row
from tests.report.conftest import build_page


def test_templates_escape_and_rows_become_plain(page: ReportPage) -> None:
    bare = dict.fromkeys(("href", "tone", "run_id", "text", "followed", "slices"), "")
    assert "&lt;b&gt;" in render_template(
        "index.html", rows=[bare | {"word": "<b>", "split": None}], trends=[], runs=[]
    )
    row = unwrap_row(page["explanations"].iloc[2].to_dict())
    assert row["p_excess"] is None
    assert row["groups_needed"] == 18
    json.dumps(row, allow_nan=False)


def test_a_value_that_a_template_lacks_is_an_error_not_a_blank() -> None:
    with pytest.raises(UndefinedError):
        render_template("training.html")


def test_rows_become_plain() -> None:
    row = {
        "a": np.float32(0.5),
        "b": np.nan,
        "c": pd.NaT,
        "d": pd.Timestamp("2025-01-02"),
        "e": pd.NA,
        "f": np.inf,
    }
    assert unwrap_row(row) == {
        "a": 0.5,
        "b": None,
        "c": None,
        "d": "2025-01-02T00:00:00",
        "e": None,
        "f": None,
    }


def test_confirmed_slices_come_first_by_rank(made: dict[str, Any]) -> None:
    table = made["explanations"].assign(
        status=["not testable", "confirmed", "confirmed"], rank=[1, 3, 2]
    )
    assert [row["slice"] for row in build_page(made | {"explanations": table}).slices] == [
        "s3",
        "s2",
        "s1",
    ]


def test_members_of_other_splits_are_left_out(made: dict[str, Any]) -> None:
    train = made["splits"].loc[made["splits"]["split"] == "train", "image_id"].iloc[0]
    stranger = pd.DataFrame([{"image_id": train, "slice": "s1", "fold": 0, "score": 1.0}])
    page = build_page(made | {"membership": pd.concat([made["membership"], stranger])})
    assert train not in page.slice_members["s1"]


def test_notes_of_all_stages_in_order(page: ReportPage) -> None:
    assert page.all_notes == [
        {"stage": "ingest", "text": "two files were set aside"},
        {"stage": "report", "text": "a late note"},
    ]
