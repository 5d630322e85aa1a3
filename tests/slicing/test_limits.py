import numpy as np
import pandas as pd
import pytest

from pipeline.slicing.limits import admitted, limits
from pipeline.slicing.rules import Condition, Rule

DARK = Rule((Condition("luminance", "<=", 50.0),))
SHARP = Rule((Condition("sharpness", ">=", 2.0), Condition("hour", "between", (21.0, 5.0))))
COLUMNS = ("luminance", "sharpness")


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"luminance": rng.uniform(0, 100, 400), "sharpness": rng.uniform(0, 4, 400), "hour": 23.0})


def test_a_rule_reaches_as_far_as_its_photos_do_in_the_copies_own_measure(frame: pd.DataFrame) -> None:
    values = np.column_stack([frame["luminance"] / 2, frame["sharpness"]])
    ((at, side, end),) = limits([DARK], frame, values, COLUMNS)[0]
    assert (at, side) == (0, 1)
    assert end == pytest.approx(25, abs=1)


def test_copies_are_admitted_by_any_rule_on_what_it_asks_of_them(frame: pd.DataFrame) -> None:
    reach = limits([DARK, SHARP], frame, frame[list(COLUMNS)].to_numpy(), COLUMNS)
    copies = np.array([[10.0, 0.5], [90.0, 3.0], [90.0, 0.5], [np.nan, 0.5]])
    assert admitted(copies, reach).tolist() == [True, True, False, False]


def test_a_rule_that_asks_of_nothing_that_copies_have_admits_all(frame: pd.DataFrame) -> None:
    night, values = Rule((Condition("hour", "between", (21.0, 5.0)),)), np.zeros((400, 2))
    assert admitted(np.full((3, 2), 1e9), limits([night], frame, values, COLUMNS)).all()
    assert admitted(np.full((3, 2), 1e9), []).all()
