"""Notes on a split: pipeline/data/quality/split_notes.py."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline.data.quality.split_notes import (
    describe_duplicates,
    describe_leaks,
    describe_power,
    describe_split_sizes,
    describe_tied_groups,
)


def _make_images(count: int) -> pd.DataFrame:
    return pd.DataFrame({"group": [f"g{row // 2}" for row in range(count)], "label": "a"})


def test_sizes_count_images_and_groups() -> None:
    splits = pd.Series(["train"] * 4 + ["val", "test", "left_out", "left_out"])
    notes = describe_split_sizes(_make_images(8), splits, ["a"])
    assert notes == [
        "train 4 images in 2 groups; val 1 images in 1 groups; test 1 images in 1 groups; "
        "left out 2 images in 1 groups"
    ]


def test_an_absent_class_is_noted_with_its_effect() -> None:
    images = _make_images(3).assign(label=["a", "b", "a"])
    notes = describe_split_sizes(images, pd.Series(["train", "val", "test"]), ["a", "b"])
    assert notes[1:] == [
        "no image of class b is in train: the model cannot learn it",
        "no image of class a is in val: no failure of it can be found",
        "no image of class b is in test: it is not judged",
    ]


def test_of_many_absent_classes_a_few_are_named() -> None:
    class_names = ["a", *(f"class {number}" for number in range(8))]
    notes = describe_split_sizes(_make_images(1), pd.Series(["train"]), class_names)
    assert "class 3, class 4 and 3 more is in train" in notes[1]


@pytest.mark.parametrize(
    ("leaked", "is_by_hash", "count"), [(0, True, 0), (1, True, 1), (3, True, 2), (3, False, 1)]
)
def test_many_leaks_point_to_the_groups(leaked: int, is_by_hash: bool, count: int) -> None:
    splits = pd.Series(["train"] * 20 + ["val"] * 5 + ["test"] * 5)
    notes = describe_leaks(splits, leaked, is_by_hash=is_by_hash)
    assert len(notes) == count
    assert ("ingest.group" in "".join(notes)) == (count == 2)


def test_duplicates_are_counted_by_kind() -> None:
    table = pd.DataFrame(
        {
            "kind": ["exact", "exact", "near"],
            "same_label": [True, False, True],
            "across_splits": [False, False, True],
        }
    )
    counts = "2 exact and 1 near-duplicate pairs, 1 of them under two labels; "
    assert describe_duplicates(table) == [counts + "1 lie across splits"]
    together = table.assign(across_splits=False)
    assert describe_duplicates(together) == [counts + "each pair stays in one split"]
    assert describe_duplicates(table.iloc[:0]) == []


@pytest.mark.parametrize(("components", "is_noted"), [(100, False), (80, False), (79, True)])
def test_many_tied_groups_are_noted(components: int, is_noted: bool) -> None:
    assert bool(describe_tied_groups(100, components)) is is_noted


def test_more_groups_show_smaller_effects() -> None:
    splits = pd.Series(["val"] * 40 + ["test"] * 960)
    few, many = describe_power(_make_images(1000), splits)
    assert "val has 20 groups" in few
    assert "a slice needs" in few
    assert "test has 480 groups" in many
    assert "a slice needs" not in many
    percents = [int(note.partition("% is found")[0].rpartition(" ")[2]) for note in (few, many)]
    assert percents[0] > percents[1]
