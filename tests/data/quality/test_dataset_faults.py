"""Faults of a data set: pipeline/data/quality/dataset_faults.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.quality.dataset_faults import (
    compute_equal_share,
    find_label_folders,
    find_split_difference,
    find_unjudged_classes,
    find_untrained_classes,
    find_unused_tables,
)
from pipeline.data.recognition.read_plan import ReadPlan
from tests.data.sample_images import write_images


def _table(rows: list[tuple[str, str | None, str | None, str | None]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["path", "label", "split", "group"])


def test_classes_that_a_split_lacks_are_counted() -> None:
    table = _table(
        [
            ("1", "a", "train", None),
            ("2", "b", "train", None),
            ("3", "b", "val", None),
            ("4", "d", "val", None),
            ("5", "d", "test", None),
            ("6", None, "test", None),
            ("7", "x", None, None),
        ]
    )
    assert find_untrained_classes(table) == {"d": 2}
    assert find_unjudged_classes(table) == {"a": 1}


def test_the_grossest_difference_between_splits_is_found() -> None:
    light = {
        "split": {
            "train": {"dark": 0.1, "blurred": 0.0},
            "val": {"dark": 0.0, "blurred": 0.325},
            "test": {"dark": 1.0, "blurred": 0.0},
        }
    }
    difference = find_split_difference(light, {"train": 100, "val": 40, "test": 5})
    assert difference == {
        "mark": "blurred",
        "split": "val",
        "train": 0.0,
        "other": 0.325,
        "value": 0.325,
    }
    assert find_split_difference(light, {"val": 40, "test": 50}) == {}


def test_equal_looks_are_counted() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (10, 4, 4, 3), dtype=np.uint8)
    pixels = np.repeat(np.repeat(coarse, 16, axis=1), 16, axis=2)
    assert compute_equal_share(pixels) == 0.1
    pixels[3:] = 7
    assert compute_equal_share(pixels) == 0.7
    assert compute_equal_share(pixels[:0]) == 0.0


def test_folders_of_one_label_each_are_groups() -> None:
    rows = [(f"p{n // 3}/{n}.jpg", "ab"[n // 3 % 2], None, None) for n in range(18)]
    assert len(find_label_folders(_table(rows), ReadPlan("manifest"))) == 6
    assert find_label_folders(_table(rows), ReadPlan("folder")) == []
    assert find_label_folders(_table(rows), ReadPlan("manifest", group_column="who")) == []
    class_folders = [(f"{'ab'[n % 2]}/{n}.jpg", "xy"[n % 2], None, None) for n in range(8)]
    assert find_label_folders(_table(class_folders), ReadPlan("manifest")) == []
    mixed = [(f"p{n // 4}/{n}.jpg", "ab"[n % 2], None, None) for n in range(16)]
    assert find_label_folders(_table(mixed), ReadPlan("manifest")) == []


def test_a_table_beside_lists_is_not_used(tmp_path: Path) -> None:
    names = [f"images/{n}.jpg" for n in range(6)]
    write_images(tmp_path, *names)
    rows = [f"{name},{n % 2}" for n, name in enumerate(names)]
    (tmp_path / "other.csv").write_text("\n".join(["image,label", *rows]))
    assert find_unused_tables(tmp_path, ReadPlan("text_lists")) == ["other.csv"]
    assert find_unused_tables(tmp_path, ReadPlan("manifest")) == []
