"""Splits by time and place: pipeline/datasets/apart.py (in the stage: tests/stages/test_split.py)."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline.contracts import InputError
from pipeline.datasets.apart import by_site, by_time, moments

IMAGES = pd.DataFrame({
    "group": ["a", "a", "b", "c", "d"], "city": ["oslo", "rome", "rome", None, "lima"],
    "captured_at": pd.to_datetime(["2024-01-01", "2024-03-01", "2024-02-01", "2024-04-01", None]).as_unit("us"),
})


def test_a_group_is_where_its_last_photo_is() -> None:
    cuts = moments(IMAGES, (0.7, 0.4))
    assert cuts == [pd.Timestamp("2024-03-01"), pd.Timestamp("2024-04-01")]
    assert by_time(IMAGES, *cuts).tolist() == ["val", "val", "train", "test", "left_out"]
    with pytest.raises(InputError, match="no photo has a capture time"):
        by_time(IMAGES.assign(captured_at=pd.NaT), *cuts)


def test_named_sites_and_drawn_ones() -> None:
    def drawn(name: str, whole: bool) -> str:
        return "train" if whole else "val"

    assert by_site(IMAGES, "city", ["rome"], [], drawn).tolist() == ["val", "test", "test", "left_out", "val"]
    assert by_site(IMAGES, "city", ["rome"], ["lima"], drawn).tolist() == ["train", "test", "test", "left_out", "val"]
    assert by_site(IMAGES, "city", [], ["lima"], drawn).tolist() == ["train", "train", "train", "left_out", "val"]
    with pytest.raises(InputError, match=r"no column 'town'"):
        by_site(IMAGES, "town", [], [], drawn)
    with pytest.raises(InputError, match=r"no photo of 'olso'; did you mean oslo"):
        by_site(IMAGES, "city", ["olso"], [], drawn)
