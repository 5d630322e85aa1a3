"""Labels in doubt: equal images with different labels, and labels that a reviewer judged."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from pipeline.domain.statuses import LabelIssueKind
from pipeline.storage.review_decisions import LabelReview

LABEL_ISSUE_DTYPES = {
    "image_id": "str",
    "label": "str",
    "suggested": "str",
    "confidence": "float64",
    "kind": "str",
    "split": "str",
}
"""Columns and dtypes of the artifact `label_issues`."""
_DOUBTFUL_DECISIONS = {"wrong": LabelIssueKind.REVIEWED, "unreadable": LabelIssueKind.UNREADABLE}


def find_label_conflicts(
    duplicates: pd.DataFrame, images: pd.DataFrame, splits: pd.DataFrame
) -> pd.DataFrame:
    """Return the images outside test whose bytes occur under another label too, each image once."""
    is_conflict = (duplicates["kind"] == "exact") & ~duplicates["same_label"]
    pairs = duplicates.loc[is_conflict, ["image_id", "other_id"]]
    reversed_pairs = pairs.set_axis(["other_id", "image_id"], axis=1)
    both = pd.concat([pairs, reversed_pairs], ignore_index=True)
    label_of = images.set_index("image_id")["label"]
    split_of = splits.set_index("image_id")["split"]
    table = both.assign(
        label=both["image_id"].map(label_of),
        suggested=both["other_id"].map(label_of),
        split=both["image_id"].map(split_of),
        confidence=1.0,
        kind=LabelIssueKind.CONFLICT,
    ).dropna(subset=["label", "suggested"])
    table = table[(table["label"] != table["suggested"]) & (table["split"] != "test")]
    return table.drop_duplicates("image_id")[list(LABEL_ISSUE_DTYPES)]


def collect_reviewed_labels(
    reviews: Mapping[str, LabelReview], images: pd.DataFrame, splits: pd.DataFrame
) -> pd.DataFrame:
    """Return the images outside test whose label a reviewer marked as wrong or could not judge.

    Args:
        reviews: decisions by image_id.
        images: the artifact of that name, as the next argument.
        splits: test images are ignored.

    Returns:
        Rows of `label_issues`; `suggested` is empty if the reviewer named no other class.
    """
    suggestions, kinds = {}, {}
    for image_id, review in reviews.items():
        if review.decision in _DOUBTFUL_DECISIONS:
            kinds[image_id] = _DOUBTFUL_DECISIONS[review.decision]
            suggestions[image_id] = review.suggested if review.decision == "wrong" else ""
    is_doubtful = images["image_id"].isin(kinds).to_numpy()
    is_labeled = images["label"].notna().to_numpy()
    is_sealed = (splits["split"] == "test").to_numpy()
    table = images.loc[is_doubtful & is_labeled & ~is_sealed, ["image_id", "label"]]
    return table.assign(
        suggested=table["image_id"].map(suggestions),
        confidence=1.0,
        kind=table["image_id"].map(kinds),
        split=table["image_id"].map(splits.set_index("image_id")["split"]),
    )


def drop_reviewed_issues(issues: pd.DataFrame, reviews: Mapping[str, LabelReview]) -> pd.DataFrame:
    """Return `issues` without the images that a reviewer judged: the reviewer decides."""
    judged = [image_id for image_id, review in reviews.items() if review.decision]
    return issues[~issues["image_id"].isin(judged)]
