from dataclasses import replace

import numpy as np
import pytest

from pipeline.slices.causes.cause_naming import CauseCandidate
from pipeline.slices.causes.repair_test import (
    add_repairs,
    evaluate_other_remedies,
    find_inverse_intervention,
    find_nearest_intervention,
    measure_repair,
)
from pipeline.slices.finder_constants import CONSTANTS
from tests.slices.causes.conftest import INTERVENTIONS, PlantedImages

DARK = CauseCandidate("exposure", "too dark", 0.25, 0.1, True, reproduction_rate=0.9)
TILTED = CauseCandidate("rotation", "tilted anticlockwise", 30.0, 0.3, True, reproduction_rate=0.5)
BLURRED = CauseCandidate("blur", "blurred", 2.0, 0.2, False, reproduction_rate=0.3)


def test_only_the_inverse_of_the_cause_repairs_more_than_other_remedies(
    darkness: PlantedImages,
) -> None:
    failing = darkness.failing_rows
    others = evaluate_other_remedies(darkness.val, failing, darkness.tools, INTERVENTIONS, 0)
    dark, tilted, blurred = add_repairs(
        darkness.val, failing, [DARK, TILTED, BLURRED], darkness.tools, others, 0
    )
    assert dark.repair_effect is not None
    assert dark.repair_effect > 0.5
    assert dark.repair_p_value is not None
    assert dark.repair_p_value < 0.001
    assert dark.can_be_named(0.05)
    assert tilted.repair_p_value is not None
    assert not tilted.can_be_named(0.05)
    assert blurred == BLURRED, "it has no inverse to test"


def test_candidates_that_do_not_reproduce_are_not_tested(darkness: PlantedImages) -> None:
    failing = darkness.failing_rows
    others = evaluate_other_remedies(darkness.val, failing, darkness.tools, INTERVENTIONS, 0)
    idle = replace(DARK, reproduction_rate=CONSTANTS.causes.min_accuracy_loss / 2)
    assert add_repairs(darkness.val, failing, [idle], darkness.tools, others, 0) == [idle]


def test_the_exact_inverse_is_applied_instead_of_the_nearest_probed_strength(
    darkness: PlantedImages,
) -> None:
    failing = darkness.failing_rows
    others = evaluate_other_remedies(darkness.val, failing, darkness.tools, INTERVENTIONS, 0)
    mild = replace(DARK, strength=0.95)
    weak = measure_repair(darkness.val, failing, mild, darkness.tools, others, 0)
    strong = measure_repair(darkness.val, failing, DARK, darkness.tools, others, 0)
    assert weak.repair_effect is not None
    assert strong.repair_effect is not None
    assert strong.repair_effect > weak.repair_effect + 0.5


def test_a_slice_without_failures_or_of_few_groups_is_not_tested(darkness: PlantedImages) -> None:
    val, tools, nothing = darkness.val, darkness.tools, np.array([], np.intp)
    assert evaluate_other_remedies(val, nothing, tools, INTERVENTIONS, 0) == {}
    assert add_repairs(val, nothing, [DARK], tools, {}, 0) == [DARK]
    failing = darkness.failing_rows
    few_groups = np.unique(val.groups[failing])[: CONSTANTS.causes.min_failing_groups - 1]
    few = failing[np.isin(val.groups[failing], few_groups)]
    others = evaluate_other_remedies(val, few, tools, INTERVENTIONS, 0)
    assert add_repairs(val, few, [DARK], tools, others, 0)[0].repair_p_value is None


@pytest.mark.parametrize(
    ("remedy", "strength", "nearest"),
    [("exposure", 8.3, 4.0), ("unknown", 1.0, None), ("exposure", None, None)],
)
def test_the_nearest_probed_strength_is_found(
    remedy: str, strength: float | None, nearest: float | None
) -> None:
    row = find_nearest_intervention(INTERVENTIONS, remedy, strength)
    assert (None if row is None else INTERVENTIONS["strength"][row]) == nearest


def test_the_inverse_intervention_undoes_the_candidate() -> None:
    row = find_inverse_intervention(INTERVENTIONS, DARK)
    assert INTERVENTIONS.loc[row].to_list() == ["exposure", 4.0]
    assert find_inverse_intervention(INTERVENTIONS, BLURRED) is None
