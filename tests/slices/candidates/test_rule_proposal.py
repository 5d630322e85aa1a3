from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.domain.rules import Condition, Rule
from pipeline.slices.candidates.condition_search import ConditionSearch
from pipeline.slices.candidates.proposal_evidence import ProposalEvidence, score_rule
from pipeline.slices.candidates.rule_proposal import propose_from_mixture, propose_rules
from pipeline.slices.testing.slice_confirmation import compute_matched_residuals
from tests.slices.conftest import Draw, PlantedSlice


def _build_evidence(planted: PlantedSlice) -> ProposalEvidence:
    val = planted.val
    return ProposalEvidence(
        frame=val.frame,
        is_misclassified=val.is_misclassified,
        repair_residuals=compute_matched_residuals(val.probe_results),
        repair_gains=val.probe_results.change,
        prototype_ids=(),
        prototype_distances=np.zeros((0, len(val.frame)), np.float32),
    )


def _compute_overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def test_the_planted_slice_is_proposed_first_by_its_own_attributes(draw: Draw) -> None:
    planted = draw(0)
    first = propose_rules(_build_evidence(planted))[0]
    assert _compute_overlap(first.mask, planted.dark) > 0.8, first.rule.format_text()
    assert {c.column for c in first.rule.conditions} <= {"luminance", "hour"}
    assert first.recoverable_errors > 0.6 * (planted.val.is_misclassified & planted.dark).sum()


def test_a_collinear_statistic_that_gathers_slightly_more_does_not_replace_the_plain_one(
    draw: Draw,
) -> None:
    """`blockiness` admits the same dark images except a correct one, so it scores a bit higher."""
    planted = draw(0)
    val = planted.val
    correct_row = np.flatnonzero(planted.dark & ~val.is_misclassified)[0]
    copy = np.where(np.arange(len(val.frame)) == correct_row, 999.0, val.frame["luminance"])
    last = val.frame.assign(blockiness=copy)
    first = last[["image_id", "label", "group", "blockiness", *val.frame.columns[3:]]]
    for frame, column in ((last, "luminance"), (first, "blockiness")):
        best = propose_rules(replace(_build_evidence(planted), frame=frame))[0]
        assert [c.column for c in best.rule.conditions] == [column]


def test_membership_is_a_function_of_the_image(draw: Draw) -> None:
    planted = draw(1)
    proposals = propose_rules(_build_evidence(planted))
    assert proposals
    for proposal in proposals:
        assert (proposal.rule.compute_mask(planted.val.frame) == proposal.mask).all()


def test_without_failures_nothing_is_proposed(draw: Draw) -> None:
    evidence = _build_evidence(draw(0))
    none = np.zeros_like(evidence.is_misclassified)
    assert propose_rules(replace(evidence, is_misclassified=none)) == []


def test_proposals_are_limited_and_share_few_errors(draw: Draw) -> None:
    evidence = _build_evidence(draw(2))
    proposals = propose_rules(evidence, max_rules=3)
    assert 1 <= len(proposals) <= 3
    assert len(propose_rules(evidence, max_rules=1)) == 1
    for index, one in enumerate(proposals):
        for other in proposals[:index]:
            errors = evidence.is_misclassified
            assert _compute_overlap(one.mask & errors, other.mask & errors) <= 0.4


def test_a_tiny_set_has_no_proposal(draw: Draw) -> None:
    assert propose_rules(_build_evidence(draw(0, groups=2, frames=3))) == []


def test_a_repaired_slice_is_proposed_where_it_has_no_excess_error(draw: Draw) -> None:
    """Dark images fail no more than others, but the first intervention repairs only these."""
    planted = draw(3)
    val, rng = planted.val, np.random.default_rng(0)
    errors = rng.random(len(val.frame)) < 0.3
    repaired = errors & planted.dark & (rng.random(len(errors)) < 0.9)
    margins = np.where(errors, -1.0, 1.0) * rng.gamma(2, 1, len(errors))
    after = np.column_stack([np.where(errors, repaired, True), ~errors])
    probe = replace(val.probe_results, correct=~errors, after=after, margin=margins)
    evidence = replace(
        _build_evidence(planted),
        is_misclassified=errors,
        repair_residuals=compute_matched_residuals(probe),
        repair_gains=probe.change,
    )
    best = max(propose_rules(evidence), key=lambda p: _compute_overlap(p.mask, planted.dark))
    assert _compute_overlap(best.mask, planted.dark) > 0.7
    assert best.rule.source == "repair"


def test_a_threshold_is_no_wider_than_the_failures_that_it_gathers() -> None:
    """All failures are below 40. An intervention repairs them, and breaks less up to 100."""
    rng, light = np.random.default_rng(0), np.repeat(np.linspace(0, 200, 200), 2)
    n = len(light)
    errors = (light < 40) & (rng.random(n) < 0.7)
    frame = pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(n)],
            "label": "a",
            "group": [f"g{k // 2}" for k in range(n)],
            "luminance": light,
        }
    )
    proposals = propose_rules(
        ProposalEvidence(
            frame=frame,
            is_misclassified=errors,
            repair_residuals=np.where(errors, 1.0, np.where(light < 100, 0.2, -0.2))[:, None],
            repair_gains=errors[:, None].astype(float),
            prototype_ids=(),
            prototype_distances=np.zeros((0, n), np.float32),
        )
    )
    (condition,) = proposals[0].rule.conditions
    assert condition.op == "<="
    assert 30 <= condition.value <= 42


def test_the_costlier_of_two_groups_of_failures_comes_first(draw: Draw) -> None:
    """Dark images fail most often; blurred ones fail less often, but cost ten times as much."""
    planted = draw(0)
    evidence, rng = _build_evidence(planted), np.random.default_rng(0)
    groups = planted.val.frame["group"].to_numpy()
    blurred = np.isin(groups, rng.permutation(np.unique(groups))[:20]) & ~planted.dark
    sharpness = np.where(blurred, -9.0, planted.val.frame["sharpness"])
    errors = evidence.is_misclassified | (blurred & (rng.random(len(blurred)) < 0.4))
    both = replace(
        evidence, frame=planted.val.frame.assign(sharpness=sharpness), is_misclassified=errors
    )
    assert {c.column for c in propose_rules(both)[0].rule.conditions} <= {"luminance", "hour"}
    costs = np.where(planted.dark, 0.1, 1.0) * errors
    costliest = propose_rules(replace(both, prediction_costs=costs))[0]
    assert {c.column for c in costliest.rule.conditions} == {"sharpness"}


def test_look_alikes_of_a_prototype_are_proposed_up_to_the_radius_of_the_errors(draw: Draw) -> None:
    """The 40 images nearest to the prototype fail; no attribute differs."""
    evidence = _build_evidence(draw(0, planted=False))
    n = len(evidence.frame)
    order = np.random.default_rng(0).permutation(n)
    distances = np.empty((1, n), np.float32)
    distances[0, order] = np.linspace(0, 1, n)
    errors = np.zeros(n, bool)
    errors[order[:40]] = True
    proposals = propose_rules(
        replace(
            evidence,
            is_misclassified=errors,
            repair_residuals=np.zeros((n, 0)),
            repair_gains=np.zeros((n, 0)),
            prototype_ids=("prototype",),
            prototype_distances=distances,
        )
    )
    (condition,) = proposals[0].rule.conditions
    assert (condition.column, condition.op) == ("prototype", "near")
    assert condition.value == pytest.approx(np.sort(distances[0])[39])


def test_what_a_mixture_component_gathers_is_described_by_a_rule(draw: Draw) -> None:
    planted = draw(0)
    evidence = _build_evidence(planted)
    few = np.zeros_like(planted.dark)
    few[np.flatnonzero(evidence.is_misclassified)[:9]] = True
    components = np.column_stack([planted.dark, few]).astype(float)
    evidence = replace(evidence, responsibilities=components)
    proposals = list(propose_from_mixture(evidence, ConditionSearch.from_evidence(evidence)))
    best = max(proposals, key=lambda p: p.score)
    assert best.rule.source == "mixture"
    assert _compute_overlap(best.mask, planted.dark) > 0.8
    only_few = replace(evidence, responsibilities=components[:, 1:])
    assert not list(propose_from_mixture(only_few, ConditionSearch.from_evidence(only_few)))


def test_a_fixed_proposal_competes_with_those_that_were_searched(draw: Draw) -> None:
    planted = draw(0)
    evidence = replace(
        _build_evidence(planted), frame=planted.val.frame[["image_id", "label", "group"]]
    )
    rule = Rule((Condition("luminance", "<=", 60.0),), source="mark")
    fixed = score_rule(evidence, rule, planted.dark)
    proposals = propose_rules(evidence, fixed_proposals=[fixed])
    assert [proposal.rule for proposal in proposals] == [rule]
