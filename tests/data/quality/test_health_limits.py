"""Limits of a data set check: pipeline/data/quality/health_limits.py."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.contracts import InputError
from pipeline.data.quality.health_limits import evaluate_limits, parse_health_limits
from pipeline.data.reading.image_record import NOT_IMAGE_REASON

HEALTH: dict[str, Any] = {
    "entries": 200,
    "images": 160,
    "rejected": 40,
    "reasons": {NOT_IMAGE_REASON: 30, "empty file": 10},
    "duplicates": {"exact": 8, "cross_split": 3, "label_conflicts": 2, "near_label_conflicts": 1},
    "light": {"all": {"dark": 0.5}},
    "faults": {
        "untrained_classes": 1,
        "unjudged_classes": 2,
        "unused_tables": 3,
        "label_folders": 5,
        "equal_share": 0.2,
        "split_difference": {"value": 0.3},
        "examples": {"max_unused_tables": ["a.csv"]},
    },
    "leaks": {"split_groups": 4},
    "splits": {"train": 100, "val": 60},
    "classes": {"cat": 90, "dog": 30},
    "unlabeled": 40,
    "labels": {"suspected": 16},
}


def test_assignments_replace_defaults() -> None:
    limits = parse_health_limits(["min_class_images=50", "max_rejected=0.2"])
    assert (limits.min_class_images, limits.max_rejected) == (50, 0.2)
    assert limits.max_split_groups == parse_health_limits([]).max_split_groups


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("min_clas_images=5", "did you mean check.min_class_images"),
        ("max_rejected=2", r"check\.max_rejected"),
        ("min_class_images", "write an override"),
    ],
)
def test_unknown_or_invalid_limits_are_refused(assignment: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_health_limits([assignment])


def test_each_condition_has_its_value() -> None:
    conditions = evaluate_limits(HEALTH, parse_health_limits([]))
    assert {condition["name"]: condition["value"] for condition in conditions} == {
        "max_rejected": 0.05,  # files that are no images do not count
        "max_duplicate_ratio": 0.05,
        "max_cross_split_pairs": 3,
        "max_split_groups": 4,
        "max_label_conflicts": 2,
        "min_class_images": 30,
        "max_class_ratio": 3,
        "max_unlabeled": 0.25,
        "max_suspected": 0.1,
        "min_classes": 2,
        "max_near_label_conflicts": 1,
        "max_untrained_classes": 1,
        "max_unjudged_classes": 2,
        "max_unused_tables": 3,
        "max_label_folders": 5,
        "max_dark": 0.5,
        "max_equal": 0.2,
        "max_split_difference": 0.3,
        "min_test_images": 0,
    }
    examples = {c["name"]: c["examples"] for c in conditions if c["examples"]}
    assert examples == {"max_unused_tables": ["a.csv"]}


def test_values_at_the_limit_pass() -> None:
    at_limit = ["max_rejected=0.05", "max_class_ratio=3", "min_class_images=30"]
    beyond_limit = ["max_rejected=0.049", "max_class_ratio=2.9", "min_class_images=31"]
    names = {"max_rejected", "max_class_ratio", "min_class_images"}
    for assignments, expected in ((at_limit, True), (beyond_limit, False)):
        conditions = evaluate_limits(HEALTH, parse_health_limits(assignments))
        passed = {c["passed"] for c in conditions if c["name"] in names}
        assert passed == {expected}


def test_conditions_without_data_do_not_apply() -> None:
    unlabeled = HEALTH | {"classes": {}, "splits": {}, "labels": None}
    conditions = evaluate_limits(unlabeled, parse_health_limits([]))
    assert {c["name"] for c in conditions} == {
        "max_rejected",
        "max_duplicate_ratio",
        "max_dark",
        "max_unused_tables",
        "max_equal",
    }
