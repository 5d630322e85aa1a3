"""Splits by time and place: pipeline/data/quality/split_strategies.py (in the stage: tests/stages/test_split.py)."""

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


def test_a_group_is_where_its_last_image_is() -> None:
    cuts = compute_split_times(IMAGES, (0.7, 0.4))
    assert cuts == [pd.Timestamp("2024-03-01"), pd.Timestamp("2024-04-01")]
    assert assign_split_by_time(IMAGES, *cuts).tolist() == [
        "val",
        "val",
        "train",
        "test",
        "left_out",
    ]
    with pytest.raises(InputError, match="no image has a capture time"):
        assign_split_by_time(IMAGES.assign(captured_at=pd.NaT), *cuts)


def test_named_sites_and_drawn_ones() -> None:
    def drawn(name: str, whole: bool) -> str:
        return "train" if whole else "val"

    assert assign_split_by_site(IMAGES, "city", ["rome"], [], drawn).tolist() == [
        "val",
        "test",
        "test",
        "left_out",
        "val",
    ]
    assert assign_split_by_site(IMAGES, "city", ["rome"], ["lima"], drawn).tolist() == [
        "train",
        "test",
        "test",
        "left_out",
        "val",
    ]
    assert assign_split_by_site(IMAGES, "city", [], ["lima"], drawn).tolist() == [
        "train",
        "train",
        "train",
        "left_out",
        "val",
    ]
    with pytest.raises(InputError, match=r"no column 'town'"):
        assign_split_by_site(IMAGES, "town", [], [], drawn)
    with pytest.raises(InputError, match=r"no image of 'olso'; did you mean oslo"):
        assign_split_by_site(IMAGES, "city", ["olso"], [], drawn)
