import numpy as np
import pandas as pd

from pipeline.slicing.rules import Condition, Rule
from pipeline.slicing.selection import admitted, beyond, limits

DARK, GREY = Condition("light", "<=", 40.0), Condition("colour", ">=", 0.2)
FRAME = pd.DataFrame(
    {"image_id": ["a", "b", "c"], "label": "x", "group": "g", "light": [10.0, 30.0, 90.0], "hour": 3.0}
)
VALUES = np.array([[11.0, 0.1], [33.0, 0.3], [95.0, 0.9]])  # of the same photos at the size of copies


def _within(values: list[list[float]], rules: list[Rule], frame: pd.DataFrame = FRAME) -> list[bool]:
    return (beyond(np.array(values), limits(rules, frame, VALUES, ("light", "colour"))) == 0).tolist()


def test_a_copy_lies_within_where_the_slice_itself_reaches() -> None:
    assert _within([[5.0, 9.0], [32.0, 9.0], [35.0, 9.0], [95.0, 0.1]], [Rule((DARK,))]) == [True, True, False, False]


def test_any_rule_admits_and_what_copies_have_not_is_not_asked() -> None:
    assert _within([[99.0, 0.0]], [Rule((DARK,)), Rule((Condition("hour", "<=", 5.0),))]) == [True]
    assert _within([[99.0, 0.0]], []) == [True]
    known = FRAME.assign(colour=VALUES[:, 1])
    assert _within([[20.0, 0.5], [20.0, 0.0], [60.0, 0.5]], [Rule((DARK, GREY))], known) == [True, False, False]


def test_the_least_far_outside_stand_in_where_few_are_admitted() -> None:
    reach = limits([Rule((DARK,))], FRAME, VALUES, ("light", "colour"))
    copies = np.array([[5.0, 0.0], [60.0, 0.0], [np.nan, 0.0], [40.0, 0.0], [6.0, 0.0]])
    assert np.flatnonzero(admitted(copies, reach, 1)).tolist() == [0, 4]
    assert np.flatnonzero(admitted(copies, reach, 3)).tolist() == [0, 3, 4]
    among = np.array([False, True, True, True, False])
    assert np.flatnonzero(admitted(copies, reach, 2, among)).tolist() == [1, 3]
