from dataclasses import replace

import numpy as np

from pipeline.domain.rules import Condition, Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.rule_application import AppliedRule, apply_rule
from pipeline.slices.candidates.typicality import compute_coordinates
from tests.slices.conftest import Draw

DARK = Rule((Condition("luminance", "<=", 60.0),))


def _is_proposing(val: ValidationSet) -> np.ndarray:
    return val.folds % 2 == 0


def _apply(val: ValidationSet, rule: Rule = DARK) -> AppliedRule:
    space = compute_coordinates(val.frame, val.embeddings, _is_proposing(val))
    return apply_rule(val, rule, {}, _is_proposing(val), space)


def test_a_rule_is_applied_to_all_images_with_its_intervention(draw: Draw) -> None:
    planted = draw(0)
    applied = _apply(planted.val)
    assert applied.mask.tolist() == planted.dark.tolist()
    assert applied.chosen_intervention == 0
    assert (np.isfinite(applied.typicality) == applied.mask).all()


def test_outcomes_of_other_folds_are_not_used(draw: Draw) -> None:
    val = draw(0).val
    predictions = np.where(_is_proposing(val), val.predictions, (val.labels + 1) % 3)
    before, after = _apply(val), _apply(replace(val, predictions=predictions))
    assert before.chosen_intervention == after.chosen_intervention
    assert (before.typicality == after.typicality).all()


def test_a_rule_of_one_class_chooses_its_intervention_within_the_class(draw: Draw) -> None:
    """The second intervention predicts class c for all images, which repairs all of class c."""
    val = draw(0).val
    responses = np.full_like(val.responses, 2)
    responses[:, 0] = val.predictions[val.probed_rows]
    val = replace(val, responses=responses)
    assert _apply(val, replace(DARK, label="c")).chosen_intervention is None
