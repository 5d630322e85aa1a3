"""Which images are screened, and what is asked further."""

import numpy as np
import pandas as pd
import pytest

from pipeline.slices.causes.intervention_screening import ChangeCounts, count_changes, draw_screen

NULL = ChangeCounts(repaired=2, broken=2, correct=350)


def _make_sample(rare_count: int = 20) -> pd.DataFrame:
    """Return 1,000 images of two classes in groups of five; every tenth is misclassified."""
    rows = np.arange(1000)
    labels = np.where(rows < rare_count, 1, 0)
    groups = [f"g{row // 5}" for row in rows]
    return pd.DataFrame({"group": groups, "label_index": labels, "is_correct": rows % 10 > 0})


def test_the_screen_is_spread_over_classes_outcomes_and_groups() -> None:
    sample = _make_sample()
    weights = draw_screen(sample, 400, seed=0)
    screened = sample[weights > 0]
    assert len(screened) == 400
    assert (screened["label_index"] == 1).sum() == 20
    assert (~screened["is_correct"]).sum() == 100, "every failure"
    assert screened["group"].nunique() == sample["group"].nunique()


def test_the_weights_stand_for_the_whole_sample_of_each_stratum() -> None:
    sample = _make_sample()
    weights = draw_screen(sample, 100, seed=0)
    totals = weights.groupby([sample["label_index"], sample["is_correct"]]).sum()
    assert totals.tolist() == pytest.approx([98, 882, 2, 18])


def test_the_same_seed_draws_the_same_screen() -> None:
    sample = _make_sample()
    first, second, other = (draw_screen(sample, 100, seed) for seed in (0, 0, 1))
    assert first.equals(second)
    assert not first.equals(other)


def test_a_small_sample_is_screened_whole() -> None:
    assert (draw_screen(_make_sample(), 1000, seed=0) == 1).all()


def test_changes_are_counted_in_both_directions() -> None:
    before = np.array([True, True, True, False, False])
    after = np.array([True, False, True, True, False])
    assert count_changes(before, after) == ChangeCounts(repaired=1, broken=1, correct=3)


@pytest.mark.parametrize(
    ("repaired", "broken", "should_ask"),
    [(1, 2, False), (0, 0, False), (2, 0, True), (1, 9, False), (1, 10, True)],
)
def test_an_intervention_is_asked_further_if_it_may_do_more_than_the_null_transform(
    repaired: int, broken: int, should_ask: bool
) -> None:
    assert ChangeCounts(repaired, broken, 350).can_exceed(NULL) == should_ask


def test_an_intervention_that_repairs_nothing_repairs_not_as_much_as_a_null_transform() -> None:
    null = ChangeCounts(repaired=0, broken=0, correct=350)
    assert not ChangeCounts(0, 0, 350).can_exceed(null)
    assert ChangeCounts(1, 0, 350).can_exceed(null)
