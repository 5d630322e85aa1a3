import numpy as np
import pandas as pd

from pipeline.slicing.admission import admitted_by, near_photos, photos_named, rules_by_slice
from pipeline.slicing.rules import Condition, Rule

FRAME = pd.DataFrame(
    {
        "image_id": ["a", "b", "c", "d"],
        "label": ["x", "y", "x", "y"],
        "group": list("abcd"),
        "light": [10.0, 20, 30, 40],
    }
)


def _dark(at: float, label: str | None = None) -> Rule:
    return Rule((Condition("light", "<=", at),), label)


def test_most_of_the_fold_rules_decide_and_the_label_part_does_not_count() -> None:
    slices = pd.DataFrame({"slice": ["s", "s", "s"], "rule": [_dark(at, "x").dump() for at in (10, 25, 35)]})
    rules = rules_by_slice(slices, ["s"])
    assert [len(of_slice) for of_slice in rules.values()] == [3]
    assert admitted_by(FRAME, rules, {})["s"].tolist() == [True, True, False, False]
    two = {"s": [_dark(10), _dark(25)]}
    assert admitted_by(FRAME, two, {})["s"].tolist() == [True, False, False, False], "half is not most"


def test_distances_are_those_to_the_named_photos_and_a_sealed_photo_is_outside() -> None:
    near = {"s": [Rule((Condition("b", "near", 0.1),))]}
    assert photos_named(near["s"]) == {"b"}
    vectors = np.array([[1, 0], [1, 0.01], [0, 1], [np.nan, np.nan]], dtype=np.float32)
    distances = near_photos(FRAME, near, vectors)
    assert set(distances) == {"b"}
    assert admitted_by(FRAME, near, distances)["s"].tolist() == [True, True, False, False]
    assert near_photos(FRAME, {"s": [_dark(3)]}, vectors) == {}
