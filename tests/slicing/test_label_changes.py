from typing import Any

import numpy as np

from pipeline.slicing.label_changes import label_changes
from pipeline.slicing.rules import conditions_frame
from pipeline.slicing.validation import validation
from tests.stages.found import NAMES, artifacts


def _changes(given: dict[str, Any]) -> list[dict[str, Any]]:
    frame = conditions_frame(given["images"], given["attributes"])
    val = validation(
        frame, given["splits"], NAMES, given["predictions"], given["label_issues"], given["probed"], given["responses"]
    )
    return label_changes(val, given["responses"], given["dose_response"], NAMES, 0.5)


def test_a_transform_that_swaps_two_classes_changes_labels_both_ways() -> None:
    given = artifacts()
    flip = int(given["dose_response"].query("remedy == 'horizontal_flip'").index[0])
    truth = given["predictions"]["label"].map({n: i for i, n in enumerate(NAMES)}).to_numpy()
    given["responses"][:, flip] = np.where(truth == 0, 1, np.where(truth == 1, 0, truth))
    found = _changes(given)
    assert {(r["remedy"], r["from"], r["to"], r["share"]) for r in found} == {
        ("horizontal_flip", "a", "b", 1.0),
        ("horizontal_flip", "b", "a", 1.0),
    }
    assert all(r["groups"] >= 2 for r in found)


def test_a_transform_that_only_breaks_a_class_is_no_relabelling() -> None:
    given = artifacts()
    given["responses"][:, given["dose_response"].query("remedy == 'rotation'").index] = 0  # all become class a
    assert _changes(given) == []
