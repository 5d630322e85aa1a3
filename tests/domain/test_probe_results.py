import numpy as np
import pytest

from pipeline.domain.probe_results import (
    NOT_ASKED,
    ProbeMeasurements,
    ProbeResults,
    compute_cell_weights,
)

RESULTS = ProbeResults(
    correct=np.array([True, False, False]),
    after=np.array([[True, False], [True, False], [False, False]]),
    margin=np.array([2.0, -1.0, -3.0]),
    groups=np.array([0, 0, 1]),
    weights=np.array([1.0, 2.0, 4.0]),
    cell_weights=np.array([[1.0, 3.0], [2.0, 4.0], [4.0, 0.0]]),
)


def test_a_change_is_correct_after_less_correct_before() -> None:
    np.testing.assert_array_equal(RESULTS.change, [[0, -1], [1, 0], [0, np.nan]])
    assert RESULTS.is_asked.tolist() == [[True, True], [True, True], [True, False]]


def test_an_intervention_that_was_not_asked_everywhere_has_the_weights_of_the_screen() -> None:
    responses = np.array([[0, 0], [1, NOT_ASKED], [0, 1]], np.int16)
    weights = compute_cell_weights(responses, np.array([1.0, 2.0, 1.0]), np.array([2.0, 0.0, 2.0]))
    assert weights.tolist() == [[1.0, 2.0], [2.0, 0.0], [1.0, 2.0]]


@pytest.mark.parametrize("rows", [np.array([0, 2]), np.array([True, False, True])])
def test_rows_are_selected_in_every_array(rows: np.ndarray) -> None:
    selected = RESULTS.select_rows(rows)
    assert selected.margin.tolist() == [2.0, -3.0]
    assert selected.weights.tolist() == [1.0, 4.0]
    assert selected.groups.tolist() == [0, 1]
    np.testing.assert_array_equal(selected.change, [[0, -1], [0, np.nan]])
    assert selected.cell_weights.tolist() == [[1.0, 3.0], [4.0, 0.0]]


def test_a_probe_without_interventions_is_empty() -> None:
    empty = ProbeMeasurements.build_empty()
    assert len(empty.image_ids) == 0
    assert empty.responses.shape == (0, 0)
