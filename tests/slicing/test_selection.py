import numpy as np
import pandas as pd

from pipeline.slicing.rules import Condition, Rule
from pipeline.slicing.selection import limits, within

DARK, GREY = Condition("light", "<=", 40.0), Condition("colour", ">=", 0.2)
FRAME = pd.DataFrame(
    {"image_id": ["a", "b", "c"], "label": "x", "group": "g", "light": [10.0, 30.0, 90.0], "hour": 3.0}
)
VALUES = np.array([[11.0, 0.1], [33.0, 0.3], [95.0, 0.9]])  # of the same photos at the size of copies


def test_a_copy_lies_within_where_the_slice_itself_reaches() -> None:
    reach = limits([Rule((DARK,))], FRAME, VALUES, ("light", "colour"))
    assert within(np.array([[5.0, 9.0], [32.0, 9.0], [35.0, 9.0], [95.0, 0.1]]), reach).tolist() == [1, 1, 0, 0]


def test_any_rule_admits_and_what_copies_have_not_is_not_asked() -> None:
    hour = Rule((Condition("hour", "<=", 5.0),))
    assert within(np.array([[99.0, 0.0]]), limits([Rule((DARK,)), hour], FRAME, VALUES, ("light", "colour"))).all()
    assert within(np.zeros((2, 2)), limits([], FRAME, VALUES, ("light", "colour"))).all()
    both = limits([Rule((DARK, GREY))], FRAME.assign(colour=VALUES[:, 1]), VALUES, ("light", "colour"))
    assert within(np.array([[20.0, 0.5], [20.0, 0.0], [60.0, 0.5]]), both).tolist() == [1, 0, 0]
