import numpy as np
import pandas as pd

from pipeline.domain.rules import Condition, Rule
from pipeline.slices.candidates.rule_admission import (
    collect_reference_ids,
    compute_slice_masks,
    measure_reference_distances,
    parse_frozen_rules,
)

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


def test_the_frozen_rules_are_those_of_the_confirmed_slices_by_rank() -> None:
    explained = pd.DataFrame(
        {
            "slice": ["s3", "s1", "s2"],
            "rank": [3, 1, 2],
            "status": ["confirmed", "confirmed", "not testable"],
            "frozen": [_dark(at).dump_json() for at in (30, 10, 20)],
        }
    )
    assert parse_frozen_rules(explained) == {"s1": _dark(10), "s3": _dark(30)}
    assert list(parse_frozen_rules(explained)) == ["s1", "s3"]


def test_the_label_part_counts_where_labels_are_known() -> None:
    assert compute_slice_masks(FRAME, {"s": _dark(25, "x")}, {})["s"].tolist() == [
        True,
        True,
        False,
        False,
    ]
    known = (FRAME["label"] == "x").tolist()
    told = compute_slice_masks(FRAME, {"s": _dark(25, "x")}, {}, should_use_label=True)
    assert told["s"].tolist() == [known[0], known[1], False, False]
    assert known[0] != known[1]


def test_distances_are_those_to_the_named_images_and_a_sealed_image_is_outside() -> None:
    near = {"s": Rule((Condition("b", "near", 0.1),))}
    assert collect_reference_ids(near.values()) == {"b"}
    vectors = np.array([[1, 0], [1, 0.01], [0, 1], [np.nan, np.nan]], dtype=np.float32)
    distances = measure_reference_distances(FRAME, near.values(), vectors)
    assert set(distances) == {"b"}
    assert compute_slice_masks(FRAME, near, distances)["s"].tolist() == [True, True, False, False]
    assert measure_reference_distances(FRAME, [_dark(3)], vectors) == {}
