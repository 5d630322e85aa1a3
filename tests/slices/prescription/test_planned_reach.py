"""What the test holds of planned slices: pipeline/slices/prescription/planned_reach.py."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.slices.prescription.planned_reach import foresee_planned_reach


def test_groups_of_planned_slices_in_the_test_are_counted() -> None:
    rows = np.arange(200)
    groups = pd.Series((rows // 2).astype(str))
    is_test = rows >= 100
    masks = {"s1": rows % 4 < 2, "s2": rows < 100, "s3": rows >= 0}
    first, second = foresee_planned_reach({"s1", "s2"}, masks, groups, is_test)
    assert (first["slice"], first["images"], first["groups"]) == ("s1", 50, 25)
    assert first["detectable"] is not None
    assert second == {"slice": "s2", "images": 0, "groups": 0, "detectable": None}
