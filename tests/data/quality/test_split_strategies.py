"""Splits by time and by site: pipeline/data/quality/split_strategies.py."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline.contracts import InputError
from pipeline.data.quality.split_strategies import (
    assign_split_by_site,
    assign_split_by_time,
    compute_split_times,
)

IMAGES = pd.DataFrame(
    {
        "group": ["a", "a", "b", "c", "d"],
        "city": ["oslo", "rome", "rome", None, "lima"],
        "captured_at": pd.to_datetime(
            ["2024-01-01", "2024-03-01", "2024-02-01", "2024-04-01", None]
        ).as_unit("us"),
    }
)


def _draw_split(name: str, is_test_allowed: bool) -> str:
    return "train" if is_test_allowed else "val"


def test_groups_are_split_by_the_time_of_their_last_image() -> None:
    val_start, test_start = compute_split_times(IMAGES, (0.7, 0.4))
    assert val_start == pd.Timestamp("2024-03-01")
    assert test_start == pd.Timestamp("2024-04-01")
    splits = assign_split_by_time(IMAGES, val_start, test_start)
    assert splits.tolist() == ["val", "val", "train", "test", "left_out"]


def test_images_without_times_cannot_be_split_by_time() -> None:
    images = IMAGES.assign(captured_at=pd.NaT)
    with pytest.raises(InputError, match="no image has a capture time"):
        compute_split_times(images, (0.7, 0.4))


@pytest.mark.parametrize(
    ("test_sites", "val_sites", "expected"),
    [
        (["rome"], [], ["val", "test", "test", "left_out", "val"]),
        (["rome"], ["lima"], ["train", "test", "test", "left_out", "val"]),
        ([], ["lima"], ["train", "train", "train", "left_out", "val"]),
    ],
)
def test_sites_that_are_not_named_are_drawn(
    test_sites: list[str], val_sites: list[str], expected: list[str]
) -> None:
    splits = assign_split_by_site(IMAGES, "city", test_sites, val_sites, _draw_split)
    assert splits.tolist() == expected


@pytest.mark.parametrize(
    ("column", "test_sites", "message"),
    [
        ("town", [], r"site_column: no column 'town'"),
        ("city", ["olso"], r"no image of 'olso'; did you mean oslo"),
    ],
)
def test_unknown_columns_and_sites_are_refused(
    column: str, test_sites: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        assign_split_by_site(IMAGES, column, test_sites, [], _draw_split)
