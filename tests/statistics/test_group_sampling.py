import numpy as np
import pandas as pd
import pytest

from pipeline.statistics.group_sampling import (
    assign_group_folds,
    draw_round_robin,
    number_within_groups,
    sample_by_group,
    sample_classes_by_group,
)

GROUPS = np.array(["a"] * 50 + ["b"] * 2 + ["c"])
ROWS = np.arange(53)


def test_items_are_numbered_within_their_groups() -> None:
    assert number_within_groups(["b", "a", "b", "b", "a"]).tolist() == [0, 0, 1, 2, 1]
    assert number_within_groups([]).tolist() == []


def test_a_draw_takes_one_of_each_group_before_a_second() -> None:
    rows = draw_round_robin(GROUPS, ROWS, 5, np.random.default_rng(0))
    assert sorted(GROUPS[rows[:3]]) == ["a", "b", "c"]
    assert sorted(GROUPS[rows[3:]]) == ["a", "b"]
    other_rows = draw_round_robin(GROUPS, ROWS, 5, np.random.default_rng(1))
    assert rows.tolist() != other_rows.tolist()


def test_a_sample_is_sorted_and_spread_over_groups() -> None:
    rows = sample_by_group(GROUPS, ROWS, 6, np.random.default_rng(0))
    assert sorted(GROUPS[rows]) == ["a", "a", "a", "b", "b", "c"]
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert sample_by_group(GROUPS, ROWS[:0], 6, np.random.default_rng(0)).size == 0
    assert sample_by_group(GROUPS, ROWS[:4], 6, np.random.default_rng(0)).tolist() == [0, 1, 2, 3]


def _create_fold_case(case: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Return labels, groups and the expected number of folds."""
    labels = np.arange(60) % 3
    if case == "single images":
        return labels, np.arange(60), 5
    if case == "two groups":
        return labels, np.arange(60) % 2, 2
    if case == "rare classes":
        return np.arange(60), np.arange(60) // 3, 5
    return labels, np.arange(60) // 3, 5


@pytest.mark.parametrize("case", ["single images", "groups", "rare classes", "two groups"])
def test_folds_keep_groups_together_and_sizes_even(case: str) -> None:
    labels, groups, fold_count = _create_fold_case(case)
    folds = assign_group_folds(labels, groups, 5, seed=0)
    assert len(np.unique(folds)) == fold_count
    folds_by_group = pd.DataFrame({"group": groups, "fold": folds}).groupby("group")["fold"]
    assert folds_by_group.nunique().max() == 1
    assert np.bincount(folds).max() <= 2 * np.bincount(folds).min()


def test_folds_are_stratified_and_seeded() -> None:
    labels = np.repeat(np.arange(40) % 2, 3)
    groups = np.repeat(np.arange(40), 3)
    folds = assign_group_folds(labels, groups, 4, seed=0)
    for fold in range(4):
        assert labels[folds == fold].mean() == pytest.approx(0.5, abs=0.1)
    assert np.array_equal(folds, assign_group_folds(labels, groups, 4, seed=0))
    assert not np.array_equal(folds, assign_group_folds(labels, groups, 4, seed=1))


def test_a_single_group_has_one_fold() -> None:
    assert assign_group_folds(np.array([0, 1, 0]), ["a", "a", "a"], 5, seed=0).tolist() == [0, 0, 0]


def test_classes_are_sampled_alike_and_spread_over_groups() -> None:
    labels = np.repeat([0, 1, 2], [50, 10, 1])
    groups = np.r_[np.zeros(40), np.arange(1, 22)].astype(str)
    chosen = sample_classes_by_group(labels, groups, 20, 24, np.random.default_rng(0))
    assert np.bincount(labels[chosen]).tolist() == [8, 8, 1]
    assert len(set(groups[chosen[:8]].tolist())) == 8, "each group once before a second image"
    nothing = np.zeros(0, np.intp)
    assert not len(sample_classes_by_group(nothing, nothing, 20, 24, np.random.default_rng(0)))
