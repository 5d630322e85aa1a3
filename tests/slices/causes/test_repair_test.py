"""What undoing a cause repairs, on the darkened images of the tests of matching."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.causes.cause_naming import CauseCandidate
from pipeline.slices.causes.repair_test import (
    MIN_FAILING_GROUPS,
    InterventionTools,
    add_repairs,
    evaluate_other_remedies,
    find_inverse_intervention,
    find_nearest_intervention,
    measure_repair,
)
from tests.slices.causes.test_treatment_matching import INTERVENTIONS, _planted

DARK = CauseCandidate("exposure", "too dark", 0.25, 0.1, True, reproduces=0.9)
Planted = tuple[ValidationSet, np.ndarray, InterventionTools]
TURNED = CauseCandidate("rotation", "tilted anticlockwise", 30.0, 0.3, True, reproduces=0.5)


@pytest.fixture(scope="module")
def planted() -> Planted:
    return _planted()


def test_only_the_inverse_of_the_cause_repairs_more_than_any_handling(planted: Planted) -> None:
    val, inside, tools = planted
    failing = np.flatnonzero(inside & val.is_misclassified)
    blurred = CauseCandidate("blur", "blurred", 2.0, 0.2, False, reproduces=0.3)
    others = evaluate_other_remedies(val, failing, tools, INTERVENTIONS, 0)
    found = add_repairs(val, failing, [DARK, TURNED, blurred], tools, others, 0)
    assert found[0].repairs is not None
    assert found[0].repairs > 0.5
    assert found[0].p_repairs is not None
    assert found[0].p_repairs < 0.001
    assert found[0].can_be_named(0.05)
    assert not found[1].can_be_named(0.05)
    assert found[2] == blurred  # nothing undoes it, so nothing was asked


def test_the_exact_inverse_is_asked_not_the_nearest_probed_dose(planted: Planted) -> None:
    val, inside, tools = planted
    failing = np.flatnonzero(inside & val.is_misclassified)
    others = evaluate_other_remedies(val, failing, tools, INTERVENTIONS, 0)
    weak, _ = measure_repair(val, failing, replace(DARK, strength=0.95), tools, others, 0)
    strong, _ = measure_repair(val, failing, DARK, tools, others, 0)
    assert weak is not None
    assert strong is not None
    assert strong > weak + 0.5


def test_a_slice_without_failures_or_of_few_groups_is_not_judged(planted: Planted) -> None:
    val, inside, tools = planted
    none = np.array([], np.intp)
    assert evaluate_other_remedies(val, none, tools, INTERVENTIONS, 0) == {}
    assert add_repairs(val, none, [DARK], tools, {}, 0) == [DARK]
    failing = np.flatnonzero(inside & val.is_misclassified)
    few = failing[
        np.isin(val.groups[failing], np.unique(val.groups[failing])[: MIN_FAILING_GROUPS - 1])
    ]
    others = evaluate_other_remedies(val, few, tools, INTERVENTIONS, 0)
    assert add_repairs(val, few, [DARK], tools, others, 0)[0].p_repairs is None


def test_the_nearest_probed_dose() -> None:
    assert INTERVENTIONS["strength"][find_nearest_intervention(INTERVENTIONS, "exposure", 8.3)] == 4.0
    assert INTERVENTIONS["strength"][find_inverse_intervention(INTERVENTIONS, DARK)] == 4.0
    assert find_nearest_intervention(INTERVENTIONS, "unknown", 1.0) is None
    assert find_nearest_intervention(INTERVENTIONS, "exposure", None) is None
