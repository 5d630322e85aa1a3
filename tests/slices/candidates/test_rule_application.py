from dataclasses import replace

import numpy as np
import pytest

from pipeline.domain.rules import Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.cross_fitting import compute_overlap
from pipeline.slices.candidates.rule_application import (
    AppliedRule,
    FinderSettings,
    apply_proposed_rules,
)
from tests.slices.conftest import Draw, PlantedSlice


def _plant_look_alikes(planted: PlantedSlice) -> tuple[ValidationSet, np.ndarray]:
    """Return a set whose failures are similar in frozen features, and at both ends of sharpness."""
    rng, val = np.random.default_rng(0), planted.val
    n = len(val.frame)
    is_odd = np.repeat(rng.random(n // 8) < 0.15, 8)
    sharpness = np.where(is_odd, rng.choice([-3.0, 3.0], n), rng.normal(0, 0.5, n))
    failing = is_odd & (rng.random(n) < 0.7)
    centers = 2 * np.eye(8)[is_odd.astype(int)]
    embeddings = (rng.normal(0, 0.3, (n, 8)) + centers).astype(np.float32)
    return replace(
        val,
        frame=val.frame.assign(sharpness=sharpness),
        predictions=np.where(failing, (val.labels + 1) % 3, val.labels),
        embeddings=embeddings,
    ), is_odd


def _add_random_features(val: ValidationSet) -> ValidationSet:
    noise = np.random.default_rng(0).normal(0, 1, (len(val.frame), 8)).astype(np.float32)
    return replace(val, embeddings=noise)


def _is_proposing(val: ValidationSet) -> np.ndarray:
    return val.folds % 2 == 0


def _apply(val: ValidationSet, **settings: int) -> list[AppliedRule]:
    return apply_proposed_rules(val, _is_proposing(val), FinderSettings(**settings), 0)


def test_the_best_rule_is_applied_to_all_images_with_its_intervention(draw: Draw) -> None:
    planted = draw(0)
    best = _apply(_add_random_features(planted.val))[0]
    assert (best.mask == best.proposal.rule.compute_mask(planted.val.frame)).all()
    held_out = ~_is_proposing(planted.val)
    assert compute_overlap(best.mask[held_out], planted.dark[held_out]) > 0.75
    assert best.chosen_intervention == 0
    assert (np.isfinite(best.typicality) == best.mask).all()


def test_outcomes_of_other_folds_are_not_used(draw: Draw) -> None:
    val = _add_random_features(draw(0).val)
    predictions = np.where(_is_proposing(val), val.predictions, (val.labels + 1) % 3)
    before, after = _apply(val), _apply(replace(val, predictions=predictions))
    assert [a.proposal.rule for a in before] == [a.proposal.rule for a in after]
    assert [a.chosen_intervention for a in before] == [a.chosen_intervention for a in after]
    for one, other in zip(before, after, strict=True):
        assert (one.typicality == other.typicality).all()


def test_look_alikes_are_a_rule_that_holds_on_other_folds(draw: Draw) -> None:
    val, is_odd = _plant_look_alikes(draw(1, planted=False))
    (rule,) = [a for a in _apply(val) if a.proposal.rule.has_similarity_condition]
    held_out = ~_is_proposing(val)
    assert compute_overlap(rule.mask[held_out], is_odd[held_out]) > 0.8
    parsed = Rule.parse_json(rule.proposal.rule.dump_json())
    assert parsed.format_text() == rule.proposal.rule.format_text()


def test_without_prototypes_no_rule_is_about_similarity(draw: Draw) -> None:
    val, _ = _plant_look_alikes(draw(1, planted=False))
    assert not any(a.proposal.rule.has_similarity_condition for a in _apply(val, prototypes=0))


@pytest.mark.parametrize("has_logits", [False, True])
def test_rules_are_proposed_with_and_without_probabilities(draw: Draw, has_logits: bool) -> None:
    val, is_odd = _plant_look_alikes(draw(1, planted=False))
    camera = np.where(is_odd, "north", "south")
    logits = 4 * np.eye(3, dtype=np.float32)[val.predictions]
    val = replace(val, frame=val.frame[["image_id", "label", "group"]].assign(camera=camera))
    applied = _apply(replace(val, logits=logits) if has_logits else val, prototypes=0)
    assert applied[0].mask.tolist() == is_odd.tolist()
