import numpy as np
import pytest

from pipeline.contracts import InputError
from pipeline.statistics.classification.error_costs import (
    build_cost_matrix,
    compute_utilities,
    list_reduced_costs,
)

NAMES = ["employee", "stranger"]
TURNED_AWAY = {"employee": {"stranger": 0.1}}


def test_unlisted_errors_cost_one_and_correct_predictions_nothing() -> None:
    matrix = build_cost_matrix(TURNED_AWAY, NAMES, "evaluate.costs")
    assert matrix == [[0.0, 0.1], [1.0, 0.0]]
    assert list_reduced_costs(matrix, NAMES) == [
        {"label": "employee", "answer": "stranger", "cost": 0.1}
    ]
    np.testing.assert_allclose(
        compute_utilities([0, 0, 1, 1], [0, 1, 0, 1], matrix), [1.0, 0.9, 0.0, 1.0]
    )


@pytest.mark.parametrize("costs", [{}, {"employee": {"stranger": 1.0}}])
def test_all_alike_is_correctness(costs: dict[str, dict[str, float]]) -> None:
    assert build_cost_matrix(costs, NAMES, "evaluate.costs") is None
    assert compute_utilities([0, 1], [0, 0], None).tolist() == [1.0, 0.0]
    assert list_reduced_costs(None, NAMES) == []


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        (
            {"emploee": {"stranger": 0.1}},
            "evaluate.costs: unknown class 'emploee'; the classes: employee, stranger",
        ),
        ({"employee": {"guest": 0.1}}, "evaluate.costs: unknown class 'guest'"),
        (
            {"employee": {"employee": 0.1}},
            "evaluate.costs.employee.employee: a correct prediction costs nothing",
        ),
    ],
)
def test_bad_costs_are_one_clear_line(costs: dict[str, dict[str, float]], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build_cost_matrix(costs, NAMES, "evaluate.costs")
    assert "\n" not in str(caught.value)
