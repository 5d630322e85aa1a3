from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import InputError
from pipeline.domain.rules import Condition, Rule
from pipeline.domain.statuses import UnitBasis
from pipeline.slices.tracking.reference_profile import (
    REFERENCE_FILE,
    ReferenceProfile,
    assign_units,
    build_reference_frame,
    list_compared_attributes,
    summarize_reference,
)
from tests.arrivals import bundle

TIMES = ["2026-03-01T12:01:00", "2026-03-01T12:09:59", "2026-03-01T12:10:00", None]


def test_the_unit_of_an_image_is_its_group() -> None:
    units, basis = assign_units(["v1", "v1", "v2", "v2"], TIMES)
    assert units[0] == units[1] != units[2] == units[3]
    assert basis == UnitBasis.GROUPS


def test_without_a_group_the_unit_is_a_stretch_of_time() -> None:
    units, basis = assign_units([None] * 3, TIMES[:3])
    assert units[0] == units[1] != units[2]
    assert basis == UnitBasis.STRETCHES
    mixed = assign_units(["v1", "", None], TIMES[:3])[1]
    assert mixed == UnitBasis.GROUPS_AND_STRETCHES


def test_without_group_and_time_each_image_is_a_unit() -> None:
    units, basis = assign_units([None] * 4, TIMES)
    assert len(set(units)) == 3
    assert basis == UnitBasis.IMAGES
    assert len(set(assign_units([None] * 3, [None] * 3)[0])) == 3


def _build_images(n: int, group: str | None) -> pd.DataFrame:
    """Return images of one group, or each a group of its own, taken minute by minute."""
    ids = [f"i{k}" for k in range(n)]
    return pd.DataFrame(
        {
            "image_id": ids,
            "label": "a",
            "group": [group or image_id for image_id in ids],
            "captured_at": pd.date_range("2026-03-01", periods=n, freq="min"),
            "door": ["e", "w"] * (n // 2),
        }
    )


def test_a_reference_holds_attributes_and_the_slices_that_can_be_applied() -> None:
    images = _build_images(40, None)
    attributes = pd.DataFrame(
        {"image_id": images["image_id"], "luminance": np.arange(40.0), "day": 1.0}
    )
    rules = {
        "s1": Rule((Condition("luminance", "<=", 9),), label="b"),
        "s2": Rule((Condition("door", "is", "e"),)),
        "s3": Rule((Condition("floor", "is", "2"),)),
        "s4": Rule((Condition("i3", "near", 0.2),)),
    }
    table, basis = build_reference_frame(images, attributes, rules)
    assert list(table.columns) == ["unit", "luminance", "slice s1", "slice s2", "slice s4"]
    assert table["slice s1"].sum() == 10, "the label does not count: arriving images have none"
    assert table["slice s2"].sum() == 20
    assert not table["slice s4"].any(), "distances are unknown"
    assert basis == UnitBasis.STRETCHES, "a group of one image is no group"
    assert table["unit"].nunique() == 4
    assert build_reference_frame(_build_images(40, "g"), attributes, {})[1] == "groups"
    assert "day" not in list_compared_attributes()


def test_whole_units_are_kept_up_to_the_limit_and_ranges_are_of_all_images() -> None:
    units = np.repeat([f"u{k}" for k in range(20)], 3)
    table = pd.DataFrame({"unit": units, "luminance": np.arange(60.0)})
    declined = pd.Series([np.nan] * 45 + [1.0] * 15)
    kept, summary = summarize_reference(table, "groups", declined, 0, max_images=10)
    assert kept.groupby("unit").size().tolist() == [3] * 4
    assert summary == {
        "images": 60,
        "training": 45,
        "validation": 15,
        "units": 20,
        "basis": "groups",
        "stray": 0,
        "spans": {"luminance": [0.0, 59.0]},
    }
    everything, _ = summarize_reference(table, "groups", declined, 0)
    assert len(everything) == 60
    assert everything["declined"].sum() == everything["val"].sum() == 15


def test_stray_units_do_not_extend_a_known_range() -> None:
    luminance = [0.0, 1.0, *np.linspace(50, 200, 998)]
    table = pd.DataFrame({"unit": np.arange(1000), "luminance": luminance})
    no_decision = pd.Series(np.nan, index=table.index)
    summary = summarize_reference(table, "groups", no_decision, 0)[1]
    assert summary["stray"] == 2
    assert summary["spans"]["luminance"][0] == 50.0
    assert summary["spans"]["luminance"][1] < 200.0


def test_a_bundle_is_loaded_with_both_splits_and_its_rules(tmp_path: Path) -> None:
    reference = ReferenceProfile.load_bundle(bundle(tmp_path / "b"))
    assert reference.format_slice_rule("s1") == "luminance <= 50"
    splits = reference.split_tables
    assert splits["training"]["declined"].isna().all()
    assert splits["validation"]["declined"].notna().all()
    assert sum(map(len, splits.values())) == len(reference.table)


def test_a_bundle_without_a_reference_is_an_input_error(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b")
    (folder / REFERENCE_FILE).unlink()
    with pytest.raises(InputError, match="run the stage promote of run1 again"):
        ReferenceProfile.load_bundle(folder)
