"""What undoing a cause repairs, on the darkened photos of the tests of matching."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.slicing.name import Rival
from pipeline.slicing.repair import GROUPS, Tools, handled, nearest, repair_of, undoing, with_repairs
from pipeline.slicing.validation import Val
from tests.slicing.test_match import INTERVENTIONS, _planted

DARK = Rival("exposure", "too dark", 0.25, 0.1, True, reproduces=0.9)
TURNED = Rival("rotation", "tilted anticlockwise", 30.0, 0.3, True, reproduces=0.5)


@pytest.fixture(scope="module")
def planted() -> tuple[Val, np.ndarray, Tools]:
    return _planted()


def test_only_the_inverse_of_the_cause_repairs_more_than_any_handling(planted: tuple[Val, np.ndarray, Tools]) -> None:
    val, inside, tools = planted
    failing = np.flatnonzero(inside & val.errors)
    blurred = Rival("blur", "blurred", 2.0, 0.2, False, reproduces=0.3)
    others = handled(val, failing, tools, INTERVENTIONS, 0)
    found = with_repairs(val, failing, [DARK, TURNED, blurred], tools, others, 0)
    assert found[0].repairs is not None
    assert found[0].repairs > 0.5
    assert found[0].p_repairs is not None
    assert found[0].p_repairs < 0.001
    assert found[0].passes(0.05)
    assert not found[1].passes(0.05)
    assert found[2] == blurred  # nothing undoes it, so nothing was asked


def test_the_exact_inverse_is_asked_not_the_nearest_probed_dose(planted: tuple[Val, np.ndarray, Tools]) -> None:
    val, inside, tools = planted
    failing = np.flatnonzero(inside & val.errors)
    others = handled(val, failing, tools, INTERVENTIONS, 0)
    weak, _ = repair_of(val, failing, replace(DARK, dose=0.95), tools, others, 0)
    strong, _ = repair_of(val, failing, DARK, tools, others, 0)
    assert weak is not None
    assert strong is not None
    assert strong > weak + 0.5


def test_a_slice_without_failures_or_of_few_groups_is_not_judged(planted: tuple[Val, np.ndarray, Tools]) -> None:
    val, inside, tools = planted
    none = np.array([], np.intp)
    assert handled(val, none, tools, INTERVENTIONS, 0) == {}
    assert with_repairs(val, none, [DARK], tools, {}, 0) == [DARK]
    failing = np.flatnonzero(inside & val.errors)
    few = failing[np.isin(val.groups[failing], np.unique(val.groups[failing])[: GROUPS - 1])]
    others = handled(val, few, tools, INTERVENTIONS, 0)
    assert with_repairs(val, few, [DARK], tools, others, 0)[0].p_repairs is None


def test_the_nearest_probed_dose() -> None:
    assert INTERVENTIONS["dose"][nearest(INTERVENTIONS, "exposure", 8.3)] == 4.0
    assert INTERVENTIONS["dose"][undoing(INTERVENTIONS, DARK)] == 4.0
    assert nearest(INTERVENTIONS, "unknown", 1.0) is None
    assert nearest(INTERVENTIONS, "exposure", None) is None
