import numpy as np
import pytest

from pipeline.statistics.families.outcome_permutations import (
    MIN_BLOCK_GROUPS,
    build_exchange_units,
    permute_outcomes,
)


def _draw(strata: np.ndarray, groups: np.ndarray, seed: int = 0) -> np.ndarray:
    units = build_exchange_units(strata, groups)
    return units.draw_donor_rows(np.random.default_rng(seed))


def test_single_images_exchange_within_their_stratum() -> None:
    strata = np.repeat([0, 1, 2], 20)
    donors = _draw(strata, np.arange(60))
    assert sorted(donors.tolist()) == list(range(60)), "each image gives its outcome once"
    assert (strata[donors] == strata).all()
    assert (donors != np.arange(60)).any()


def test_a_group_gets_the_outcomes_of_one_group_in_their_order() -> None:
    groups = np.repeat(np.arange(12), 5)
    donors = _draw(np.zeros(60, np.intp), groups)
    for group in range(12):
        given = donors[groups == group]
        assert len(np.unique(groups[given])) == 1
        steps = np.diff(given % 5) % 5
        assert (steps == 1).all(), "neighbors stay neighbors"


def test_classes_of_a_group_get_the_outcomes_of_one_donor() -> None:
    """Otherwise what fails in all classes of a visit would be taken apart by a permutation."""
    groups = np.repeat(np.arange(30), 4)
    strata = np.tile([0, 0, 1, 1], 30)
    donors = groups[_draw(strata, groups)]
    for group in range(30):
        assert len(np.unique(donors[groups == group])) == 1


def test_groups_exchange_with_groups_of_similar_size() -> None:
    sizes = np.r_[np.full(2 * MIN_BLOCK_GROUPS, 1), np.full(2 * MIN_BLOCK_GROUPS, 9)]
    groups = np.repeat(np.arange(len(sizes)), sizes)
    donors = _draw(np.zeros(len(groups), np.intp), groups)
    assert (sizes[groups[donors]] == sizes[groups]).all()


@pytest.mark.parametrize("sizes", [(2, 5), (5, 2)])
def test_a_sequence_is_repeated_or_cut_where_sizes_differ(sizes: tuple[int, int]) -> None:
    groups = np.repeat([0, 1], sizes)
    swapped = [
        donors
        for donors in (_draw(np.zeros(7, np.intp), groups, seed) for seed in range(20))
        if (groups[donors] != groups).all()
    ]
    assert swapped
    counts = np.bincount(swapped[0], minlength=7)
    assert counts.sum() == 7
    assert counts.max() - counts[counts > 0].min() <= 2


def test_outcomes_of_several_columns_stay_together() -> None:
    outcomes = np.column_stack([np.arange(40.0), np.arange(40.0) + 100])
    (drawn,) = permute_outcomes(outcomes, np.zeros(40, np.intp), np.arange(40), 1, 0)
    assert (drawn[:, 1] - drawn[:, 0] == 100).all()
