import numpy as np
import pytest

from pipeline.slices.causes.slice_resemblance import SliceDifference, measure_slice_difference

GROUPS = np.array([f"g{k // 2}" for k in range(100)])
SLICE_GROUPS = np.array([f"s{k // 2}" for k in range(100)])


def _measure(rng: np.random.Generator, shift: float) -> SliceDifference:
    """Return the difference of a slice whose first of three attributes is shifted."""
    good = rng.normal(size=(100, 3))
    members = rng.normal([shift, 0, 0], size=(100, 3))
    return measure_slice_difference(good, GROUPS, members, SLICE_GROUPS, 0)


def test_null_slices_seldom_differ_and_shifted_ones_do() -> None:
    rng = np.random.default_rng(0)
    assert sum(_measure(rng, 0.0).is_significant for _ in range(20)) <= 3
    assert all(_measure(rng, 2.0).is_significant for _ in range(5))


@pytest.mark.parametrize(
    ("difference", "treated_auc", "is_explained"),
    [
        (SliceDifference(0.9, 0.6), 0.68, True),
        (SliceDifference(0.6, 0.65), 0.5, False),
        (SliceDifference(0.67, 0.6), 0.68, False),
    ],
    ids=["nearer", "no difference to explain", "further"],
)
def test_only_a_treatment_that_comes_nearer_explains_a_difference(
    difference: SliceDifference, treated_auc: float, is_explained: bool
) -> None:
    assert difference.is_explained_by(treated_auc) == is_explained


@pytest.mark.parametrize("count", [2, 6])
def test_few_groups_show_no_difference(count: int) -> None:
    good, groups = np.zeros((count, 1)), GROUPS[:count]
    assert not measure_slice_difference(good, groups, good + 1, groups, 0).is_significant


def test_a_suspected_cause_removes_most_of_the_difference() -> None:
    difference = SliceDifference(0.9, 0.6)
    assert difference.is_mostly_explained_by(0.69)
    assert not difference.is_mostly_explained_by(0.75)
    assert not SliceDifference(0.55, 0.6).is_mostly_explained_by(0.5)


def test_a_treatment_that_goes_further_than_null_slices_is_noticed() -> None:
    assert SliceDifference(0.55, 0.6).is_increased_by(0.7)
    assert not SliceDifference(0.55, 0.6).is_increased_by(0.58)
    assert not SliceDifference(0.8, 0.6).is_increased_by(0.7)
