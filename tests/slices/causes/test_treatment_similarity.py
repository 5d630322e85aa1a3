import numpy as np
import pytest

from pipeline.slices.causes.treatment_similarity import (
    compute_cliffs_delta,
    measure_confusion_agreement,
)


def test_cliffs_delta_equals_its_definition_by_pairs() -> None:
    first, second = np.array([[1.0], [2.0], [3.0]]), np.array([[2.0], [3.0], [4.0]])
    wins = np.sign(first - second.T).sum()
    assert compute_cliffs_delta(first, second) == pytest.approx(abs(wins) / 9)


def test_cliffs_delta_is_0_for_equal_and_1_for_disjoint_samples() -> None:
    values = np.array([[1.0], [2.0], [3.0]])
    assert compute_cliffs_delta(values, values) == 0
    assert compute_cliffs_delta(values, values + 10) == 1
    assert compute_cliffs_delta(np.full((3, 1), np.nan), values) == 1


def test_cliffs_delta_averages_columns_and_skips_unknown_values() -> None:
    first = np.array([[1.0, 5.0], [2.0, np.nan]])
    second = np.array([[1.0, 9.0], [2.0, 9.0]])
    assert compute_cliffs_delta(first, second) == 0.5


PAIRS = [(0, 1), (0, 2), (0, 3), (0, 1)]
GROUPS = ["a", "b", "c", "d"]  # two of the four confusions recur in another group


@pytest.mark.parametrize(
    ("slice_pairs", "agreement"), [({(0, 1)}, 1.0), ({(0, 2)}, 0.5), ({(5, 6)}, 0.0)]
)
def test_confusions_agree_relative_to_how_often_they_recur(
    slice_pairs: set[tuple[int, int]], agreement: float
) -> None:
    assert measure_confusion_agreement(PAIRS, GROUPS, slice_pairs) == agreement


def test_confusions_of_one_group_or_single_labels_are_not_rescaled() -> None:
    assert measure_confusion_agreement(PAIRS, ["a"] * 4, {(0, 1)}) == 0.5
    assert measure_confusion_agreement([(0, 1), (2, 3)], ["a", "b"], {(0, 1)}) == 0.5
    assert measure_confusion_agreement([], [], {(0, 1)}) == 0.0
