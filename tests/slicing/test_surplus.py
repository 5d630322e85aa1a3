import numpy as np
import pandas as pd
import pytest

from pipeline.slicing.confirm import Probe
from pipeline.slicing.surplus import surplus
from pipeline.slicing.validation import Val

NONE = Probe(np.zeros(0, bool), np.zeros((0, 0), bool), np.zeros(0), np.zeros(0, np.intp), np.zeros(0))


def _val(truth: np.ndarray, errors: np.ndarray) -> Val:
    rows = np.arange(len(truth))
    names = [f"i{k}" for k in rows]
    frame = pd.DataFrame({"image_id": names, "label": truth.astype(str), "group": names})
    guess = np.where(errors, 1 - truth, truth)
    return Val(frame, rows, rows % 5, truth, guess, NONE, rows[:0], rows[:0] >= 0, ("0", "1"))


def test_the_look_of_the_failures_in_excess_is_told_from_those_that_fail_anyway() -> None:
    """A rule admits 4000 photos, 800 of them befallen (look 3, 75 % fail); the rest look like 0 and fail at .2."""
    rng, n = np.random.default_rng(0), 12_000
    truth, members = np.arange(n) % 2, np.arange(n) < 4000
    befallen = np.arange(n) < 800
    look = rng.normal(3.0 * befallen, 1.0)
    errors = rng.random(n) < np.where(befallen, 0.75, 0.2)
    weights = surplus(_val(truth, errors), members, ~members)
    assert weights.sum() == pytest.approx(1)
    assert not weights[~members].any()
    assert abs(look[members & errors].mean() - 3) > 1  # what the failing photos look like all together
    assert abs(weights @ look - 3) < 0.3


def test_a_class_that_fails_no_more_than_outside_has_no_part() -> None:
    truth, members = np.arange(400) % 2, np.arange(400) < 200
    errors = np.where(members & (truth == 0), np.arange(400) % 4 == 0, np.arange(400) % 20 < 2)
    weights = surplus(_val(truth, errors), members, ~members)
    assert weights[members & (truth == 0) & errors].min() > 0
    assert not weights[truth == 1].any()


@pytest.mark.parametrize("failing", [0, 5])
def test_where_too_few_fail_every_member_counts_alike(failing: int) -> None:
    members = np.arange(100) < 40
    weights = surplus(_val(np.arange(100) % 2, np.arange(100) < failing), members, ~members)
    assert weights == pytest.approx(members / 40)
    assert surplus(_val(np.arange(100) % 2, np.arange(100) < failing), members & False, ~members).sum() == 0
