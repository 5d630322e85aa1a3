import numpy as np
import pandas as pd
import pytest

from pipeline.domain.rules import Condition, Rule
from pipeline.domain.statuses import SliceStatus
from pipeline.slices.candidates.rule_admission import (
    collect_reference_ids,
    compute_slice_masks,
    measure_admission_shares,
    measure_cosine_distances,
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


def _build_rule(threshold: float, label: str | None = None) -> Rule:
    return Rule((Condition("light", "<=", threshold),), label)


def test_the_frozen_rules_of_confirmed_slices_are_read_in_the_order_of_ranks() -> None:
    explanations = pd.DataFrame(
        {
            "slice": ["s3", "s1", "s2"],
            "rank": [3, 1, 2],
            "status": [SliceStatus.CONFIRMED, SliceStatus.CONFIRMED, SliceStatus.NOT_TESTABLE],
            "frozen": [_build_rule(threshold).dump_json() for threshold in (30, 10, 20)],
        }
    )
    rules = parse_frozen_rules(explanations)
    assert list(rules.items()) == [("s1", _build_rule(10)), ("s3", _build_rule(30))]
    assert parse_frozen_rules(explanations.iloc[:0]) == {}


def test_the_label_part_counts_only_where_labels_are_known() -> None:
    rules = {"s": _build_rule(25, "x")}
    arrived = compute_slice_masks(FRAME, rules, {})["s"]
    assert arrived.tolist() == [True, True, False, False]
    labeled = compute_slice_masks(FRAME, rules, {}, should_use_label=True)["s"]
    assert labeled.tolist() == [True, False, False, False]


def test_a_sealed_image_is_outside_a_rule_about_distances() -> None:
    rules = {"s": Rule((Condition("b", "near", 0.1),))}
    assert collect_reference_ids(rules.values()) == {"b"}
    embeddings = np.array([[1, 0], [1, 0.01], [0, 1], [np.nan, np.nan]], dtype=np.float32)
    distances = measure_reference_distances(FRAME, rules.values(), embeddings)
    assert set(distances) == {"b"}
    assert compute_slice_masks(FRAME, rules, distances)["s"].tolist() == [True, True, False, False]
    assert measure_reference_distances(FRAME, [_build_rule(3)], embeddings) == {}


def test_distances_do_not_depend_on_chunks_or_on_other_reference_images() -> None:
    embeddings = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    embeddings[3] = np.nan
    embeddings[4] = 0
    first, second = measure_cosine_distances(embeddings, [21, 7])
    # a threshold is the distance of an image, so it must be the same to the last bit
    np.testing.assert_array_equal(measure_cosine_distances(embeddings, [7])[0], second)
    chunked = measure_cosine_distances(embeddings, [21], chunk_rows=8)[0]
    np.testing.assert_allclose(chunked, first, atol=1e-6)
    assert np.isnan(first[3])
    assert first[4] == 1
    assert first[21] == pytest.approx(0, abs=1e-6)
    assert measure_cosine_distances(embeddings, []).shape == (0, 50)


def test_a_rule_is_checked_on_every_split_that_can_be_read() -> None:
    rule = _build_rule(20)
    splits = pd.Series(["train", "train", "val", None])
    mask = rule.compute_image_mask(FRAME)
    shares = measure_admission_shares(rule, mask, splits)
    assert shares == {"train": 1.0, "val": 0.0, "test": None}
    splits = pd.Series(["test", "train", "val", "test"])
    assert measure_admission_shares(rule, mask, splits)["test"] == 0.5
    similar = Rule((Condition("a", "near", 0.2),))
    assert measure_admission_shares(similar, mask, splits)["test"] is None
