import json
from typing import Any

import numpy as np
import pandas as pd

from pipeline.report.report_page import ReportPage, unwrap_row, unwrap_rows
from tests.report.conftest import build_page


def test_rows_become_plain_values() -> None:
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


def test_rows_of_an_artifact_can_be_dumped_as_json(page: ReportPage) -> None:
    row = unwrap_rows(page["explanations"])[2]
    assert row["p_excess"] is None
    assert row["groups_needed"] == 18
    json.dumps(row, allow_nan=False)


def test_confirmed_slices_come_first_by_rank(made: dict[str, Any]) -> None:
    table = made["explanations"].assign(
        status=["not testable", "confirmed", "confirmed"], rank=[1, 3, 2]
    )
    page = build_page(made | {"explanations": table})
    assert [row["slice"] for row in page.slices] == ["s3", "s2", "s1"]
    assert [row["slice"] for row in page.confirmed_slices] == ["s3", "s2"]


def test_members_of_other_splits_are_left_out(made: dict[str, Any]) -> None:
    train = made["splits"].loc[made["splits"]["split"] == "train", "image_id"].iloc[0]
    row = pd.DataFrame([{"image_id": train, "slice": "s1", "fold": 0, "score": 1.0}])
    page = build_page(made | {"membership": pd.concat([made["membership"], row])})
    assert train not in page.slice_members["s1"]


def test_class_indices_give_the_confusion_matrices(page: ReportPage) -> None:
    before, after = page.confusion_matrices
    assert before.sum() == after.sum() == len(page.flips)
    assert before.sum() - before.trace() == page.is_misclassified.sum()
    is_wrong_after = page.flips["label"] != page.flips["after"]
    assert after.sum() - after.trace() == is_wrong_after.sum()


def test_the_top_predictions_begin_with_the_prediction(page: ReportPage) -> None:
    for image_id, flip in page.flips_by_image.items():
        before, after = page.top_predictions[image_id]
        assert page.class_names[before[0][0]] == flip["before"]
        assert page.class_names[after[0][0]] == flip["after"]
        assert [share for _, share in before] == sorted((s for _, s in before), reverse=True)


def test_notes_of_all_stages_in_order(page: ReportPage) -> None:
    assert page.all_notes == [
        {"stage": "ingest", "text": "two files were rejected"},
        {"stage": "report", "text": "a late note"},
    ]
