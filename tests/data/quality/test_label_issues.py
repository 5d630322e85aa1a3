"""Labels in doubt: pipeline/data/quality/label_issues.py."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline.data.quality.label_issues import (
    LABEL_ISSUE_DTYPES,
    collect_reviewed_labels,
    drop_reviewed_issues,
    find_label_conflicts,
)
from pipeline.storage.review_decisions import LabelReview

IMAGES = pd.DataFrame({"image_id": list("abcdef"), "label": ["x", "y", "x", "y", "x", None]})
SPLITS = IMAGES[["image_id"]].assign(split=["train", "val", "train", "test", "test", "train"])


def _make_pairs(*rows: tuple[str, str, str, bool]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image_id", "other_id", "kind", "same_label"])


def test_equal_bytes_under_two_labels_are_a_conflict_for_both_images() -> None:
    pairs = _make_pairs(("a", "b", "exact", False), ("c", "b", "exact", False))
    table = find_label_conflicts(pairs, IMAGES, SPLITS)
    assert table["image_id"].tolist() == ["a", "c", "b"]
    assert table["suggested"].tolist() == ["y", "y", "x"]
    assert table["split"].tolist() == ["train", "train", "val"]
    assert set(table["kind"]) == {"conflict"}
    assert list(table) == list(LABEL_ISSUE_DTYPES)


@pytest.mark.parametrize(
    "pair",
    [
        ("a", "b", "near", False),
        ("a", "c", "exact", True),
        ("d", "e", "exact", False),
        ("a", "f", "exact", False),
    ],
    ids=["similar", "same label", "test", "unlabeled"],
)
def test_other_pairs_are_no_conflict(pair: tuple[str, str, str, bool]) -> None:
    assert find_label_conflicts(_make_pairs(pair), IMAGES, SPLITS).empty


def test_reviewers_decide() -> None:
    decisions = {"a": "wrong", "b": "right", "c": "", "d": "wrong", "f": "wrong"}
    reviews = {}
    for image_id, decision in decisions.items():
        record = {"image_id": image_id, "decision": decision, "suggested": "z"}
        reviews[image_id] = LabelReview.model_validate(record)
    table = collect_reviewed_labels(reviews, IMAGES, SPLITS)
    assert table["image_id"].tolist() == ["a"], "d is in test, f has no label"
    row = table[["suggested", "kind", "split"]].iloc[0]
    assert row.tolist() == ["z", "reviewed", "train"]
    unreadable = {"a": LabelReview(image_id="a", decision="unreadable", suggested="z")}
    row = collect_reviewed_labels(unreadable, IMAGES, SPLITS).iloc[0]
    assert row[["suggested", "kind"]].tolist() == ["", "unreadable"]
    kept = drop_reviewed_issues(pd.DataFrame({"image_id": list("abce")}), reviews)
    assert kept["image_id"].tolist() == ["c", "e"]
