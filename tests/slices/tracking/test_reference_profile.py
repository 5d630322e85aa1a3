from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import InputError
from pipeline.domain.rules import Condition, Rule
from pipeline.slices.tracking import reference_profile
from pipeline.slices.tracking.reference_profile import (
    ReferenceProfile,
    assign_units,
    build_reference_frame,
    list_compared_attributes,
    summarize_reference,
)
from tests.arrivals import bundle


def test_a_unit_is_the_group_else_ten_minutes_else_the_image() -> None:
    times = ["2026-03-01T12:01:00", "2026-03-01T12:09:59", "2026-03-01T12:10:00", None]
    named, words = assign_units(["v1", "v1", "v2", "v2"], times)
    assert (len(set(named)), words) == (2, "groups")
    named, words = assign_units([None] * 3, times[:3])
    assert named[0] == named[1] != named[2]
    assert words == "stretches of 10 minutes"
    assert assign_units(["v1", "", None], times[:3])[1] == "groups and stretches of 10 minutes"
    named, words = assign_units([None] * 4, times)
    assert len(set(named)) == 3
    assert "neither group nor time" in words


def _images(n: int, group: str | None) -> pd.DataFrame:
    ids = [f"i{k}" for k in range(n)]
    times = pd.Timestamp("2026-03-01") + pd.to_timedelta(np.arange(n), unit="min")
    groups = [group or i for i in ids]
    table = pd.DataFrame({"image_id": ids, "label": "a", "group": groups, "captured_at": times})
    return table.assign(door=["e", "w"] * (n // 2))


def test_each_image_is_told_by_its_numbers_and_by_the_slices_that_admit_it() -> None:
    images = _images(40, None)
    attributes = pd.DataFrame(
        {"image_id": images["image_id"], "luminance": np.arange(40.0), "day": 1.0}
    )
    rules = {
        "s1": Rule((Condition("luminance", "<=", 9),), label="b"),
        "s2": Rule((Condition("door", "is", "e"),)),
        "s3": Rule((Condition("floor", "is", "2"),)),
    }
    table, words = build_reference_frame(images, attributes, rules)
    assert list(table.columns) == ["unit", "luminance", "slice s1", "slice s2"], (
        "no rule about what is not known"
    )
    assert (table["slice s1"].sum(), table["slice s2"].sum()) == (10, 20), (
        "a image that arrives has no label"
    )
    assert words == "stretches of 10 minutes", (
        "each image its own group says nothing of what belongs together"
    )
    assert table["unit"].nunique() == 4
    assert build_reference_frame(_images(40, "g"), attributes, {})[1] == "groups"
    assert "day" not in list_compared_attributes()


def test_whole_units_are_kept_up_to_the_limit_and_extremes_are_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reference_profile, "MAX_REFERENCE_IMAGES", 10)
    table = pd.DataFrame(
        {"unit": np.repeat([f"u{k}" for k in range(20)], 3), "luminance": np.arange(60.0)}
    )
    declined = pd.Series([np.nan] * 45 + [1.0] * 15)
    kept, about = summarize_reference(table, "groups", declined, 0)
    assert kept.groupby("unit").size().tolist() == [3] * 4
    counts = {"images": 60, "training": 45, "validation": 15, "units": 20}
    assert about == {**counts, "basis": "groups", "stray": 0, "spans": {"luminance": [0.0, 59.0]}}


def test_one_odd_unit_in_a_thousand_does_not_stand_for_a_known_condition() -> None:
    table = pd.DataFrame(
        {"unit": np.arange(1000), "luminance": [0.0, 1.0, *np.linspace(50, 200, 998)]}
    )
    about = summarize_reference(table, "groups", pd.Series(np.nan, index=table.index), 0)[1]
    assert about["stray"] == 2
    assert about["spans"]["luminance"][0] == 50.0
    assert about["spans"]["luminance"][1] < 200.0


def test_a_bundle_that_kept_nothing_is_one_line(tmp_path: Path) -> None:
    assert (
        ReferenceProfile.load_bundle(bundle(tmp_path / "b")).format_slice_rule("s1")
        == "luminance <= 50"
    )
    (tmp_path / "b" / reference_profile.REFERENCE_FILE).unlink()
    with pytest.raises(InputError, match="run the stage promote of run1 again"):
        ReferenceProfile.load_bundle(tmp_path / "b")
