"""Splits by a hash of the group: pipeline/data/quality/group_splits.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.data.quality.group_splits import (
    SplitShares,
    assign_validation_folds,
    compute_group_positions,
    find_group_components,
    find_leak_reasons,
    find_sufficient_salt,
    hash_group,
)
from pipeline.domain.split_exclusions import SplitExclusion
from pipeline.domain.statuses import ExclusionKind

SHARES = SplitShares(val=0.2, test=0.2)


def _make_images(groups: list[str], **columns: Any) -> pd.DataFrame:
    rows = range(len(groups))
    frame = pd.DataFrame(
        {
            "group": groups,
            "content_hash": [f"h{row}" for row in rows],
            "path": [f"{row}.jpg" for row in rows],
        }
    )
    return frame.assign(**columns)


def test_the_position_of_a_group_is_a_fixed_function() -> None:
    # sha256sum of "nightshift\0g1"
    assert hash_group("g1", "nightshift") == pytest.approx(0.589377052177011)
    positions = [hash_group(f"g{row}", "salt") for row in range(2000)]
    assert abs(np.mean(positions) - 0.5) < 0.03
    assert 0 <= min(positions) < max(positions) < 1


def test_the_shares_are_those_of_the_positions() -> None:
    positions = np.linspace(0, 1, 1000, endpoint=False)
    splits = pd.Series(SplitShares(val=0.3, test=0.1).assign_splits(positions))
    assert splits.value_counts().to_dict() == {"train": 600, "val": 300, "test": 100}


def test_groups_with_a_common_image_are_one_component() -> None:
    images = _make_images(["a", "a", "b", "c", "d"])
    pairs = pd.DataFrame({"one": [1, 2], "other": [2, 3]})
    components = find_group_components(images, pairs)
    assert len(set(components[:4])) == 1
    assert components[4] != components[0]
    alone = find_group_components(images, pairs.iloc[:0])
    assert len(set(alone)) == 4


def test_a_component_has_the_position_of_one_of_its_groups() -> None:
    groups = pd.Series(["a", "b", "c"])
    positions = compute_group_positions(groups, np.array([0, 0, 1]), "salt")
    assert positions[0] == positions[1]
    assert positions[0] in (hash_group("a", "salt"), hash_group("b", "salt"))
    assert positions[2] == hash_group("c", "salt")


def test_large_components_do_not_crowd_the_test_split() -> None:
    groups = pd.Series([f"g{row}" for row in range(1200)])
    components = np.arange(1200) // 3  # 400 components of three groups
    positions = compute_group_positions(groups, components, "nightshift")
    share = np.mean(SHARES.assign_splits(positions) == "test")
    assert abs(share - 0.2) < 0.06, "the smallest of three positions would give 0.49"


def test_a_salt_that_fills_every_split_is_found_if_there_can_be_one() -> None:
    groups = pd.Series(["a", "b", "c", "d"])
    components = np.arange(4)
    salt = find_sufficient_salt(groups, components, "s", SHARES)
    assert salt is not None
    positions = compute_group_positions(groups, components, salt)
    assert set(SHARES.assign_splits(positions)) == {"train", "val", "test"}
    assert find_sufficient_salt(groups, np.array([0, 0, 1, 1]), "s", SHARES) is None


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("content_hash", ExclusionKind.SAME_IMAGE),
        ("group", ExclusionKind.SAME_GROUP),
        ("component", ExclusionKind.TIED_GROUP),
    ],
)
def test_images_of_val_and_test_that_train_has_too_are_left_out(
    column: str, kind: ExclusionKind
) -> None:
    images = _make_images(["a", "b", "c", "d"]).assign(component=range(4))
    images.loc[[1, 2], column] = images.loc[0, column]
    splits = pd.Series(["train", "val", "test", "val"])
    reasons = find_leak_reasons(images, splits, images["component"].to_numpy())
    reason = SplitExclusion(kind, "0.jpg", "train").dump_json()
    assert reasons.fillna("-").tolist() == ["-", reason, reason, "-"]


def test_test_wins_against_val_and_an_unknown_place_is_a_reason() -> None:
    images = _make_images(["a", "a", "b", "c"])
    splits = pd.Series(["val", "test", "left_out", "train"])
    reasons = find_leak_reasons(images, splits, np.array([0, 0, 1, 2]))
    assert reasons.fillna("-").tolist() == [
        SplitExclusion(ExclusionKind.SAME_GROUP, "1.jpg", "test").dump_json(),
        "-",
        SplitExclusion(ExclusionKind.UNKNOWN_PLACE).dump_json(),
        "-",
    ]


def test_a_leak_of_val_does_not_remove_images_of_its_group_from_test() -> None:
    images = _make_images(["a", "a", "b"])
    images.loc[2, "content_hash"] = images.loc[1, "content_hash"]
    splits = pd.Series(["test", "val", "train"])
    reasons = find_leak_reasons(images, splits, np.array([0, 0, 1]))
    leak = SplitExclusion(ExclusionKind.SAME_IMAGE, "2.jpg", "train")
    assert SplitExclusion.parse_json(reasons[1]) == leak
    assert pd.isna(reasons[0])


def test_folds_keep_components_whole_and_classes_spread() -> None:
    components = np.arange(600) // 2
    labels = pd.Series(["rare" if number % 5 == 0 else "common" for number in components])
    folds = pd.Series(assign_validation_folds(labels, components, 5, seed=0))
    assert sorted(folds.unique()) == [0, 1, 2, 3, 4]
    assert (folds.groupby(components).nunique() == 1).all()
    shares = (labels == "rare").groupby(folds).mean()
    assert shares.max() - shares.min() < 0.06
    again = assign_validation_folds(labels, components, 5, seed=0)
    assert (folds.to_numpy() == again).all()


@pytest.mark.parametrize(("component_count", "fold_count"), [(0, 1), (1, 1), (3, 3), (40, 5)])
def test_there_are_no_more_folds_than_components(component_count: int, fold_count: int) -> None:
    components = np.arange(component_count)
    labels = pd.Series([f"class {number}" for number in range(component_count)], dtype="str")
    folds = assign_validation_folds(labels, components, 5, seed=0)
    assert len(folds) == component_count
    assert max(folds, default=0) + 1 == fold_count
