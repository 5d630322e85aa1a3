from dataclasses import replace

import numpy as np
import pandas as pd

from pipeline.slices.candidates.rule_proposal import (
    ProposalEvidence,
    compute_class_excess,
    propose_rules,
)
from pipeline.slices.testing.slice_confirmation import compute_matched_residuals
from tests.slices.conftest import Draw, Planted


def _evidence(planted: Planted) -> ProposalEvidence:
    val = planted.val
    repairs, near = (
        compute_matched_residuals(val.probe_results),
        np.zeros((0, len(val.frame)), np.float32),
    )
    gains = val.probe_results.change
    return ProposalEvidence(
        val.frame, val.is_misclassified, val.signatures, repairs, gains, (), near
    )


def test_the_planted_slice_is_proposed_first_and_by_what_makes_it(draw: Draw) -> None:
    planted = draw(0)
    first = propose_rules(_evidence(planted))[0]
    overlap = (first.mask & planted.dark).sum() / (first.mask | planted.dark).sum()
    assert overlap > 0.8, first.rule.format_text()
    assert {c.column for c in first.rule.conditions} <= {"luminance", "hour"}
    assert first.recoverable_errors > 0.6 * (planted.val.is_misclassified & planted.dark).sum()


def test_a_collinear_statistic_that_gathers_a_hair_more_does_not_take_the_place_of_the_plain_one(
    draw: Draw,
) -> None:
    """`blockiness` admits the same dark images but for one, where nothing failed, so that it scores a little higher."""
    planted = draw(0)
    val = planted.val
    spared = np.flatnonzero(planted.dark & ~val.is_misclassified)[0]
    copy = np.where(np.arange(len(val.frame)) == spared, 999.0, val.frame["luminance"])
    behind = val.frame.assign(blockiness=copy)
    first = propose_rules(replace(_evidence(planted), frame=behind))[0]
    assert [c.column for c in first.rule.conditions] == ["luminance"]
    ahead = behind[["image_id", "label", "group", "blockiness", *val.frame.columns[3:]]]
    first = propose_rules(replace(_evidence(planted), frame=ahead))[0]
    assert [c.column for c in first.rule.conditions] == ["blockiness"]


def test_membership_never_looks_at_the_outcome(draw: Draw) -> None:
    planted = draw(1)
    for found in propose_rules(_evidence(planted)):
        assert (found.rule.compute_mask(planted.val.frame) == found.mask).all()


def test_a_hard_class_is_no_excess() -> None:
    errors, classes = np.array([1, 1, 0, 0], bool), np.array([0, 0, 1, 1])
    assert compute_class_excess(errors, classes).tolist() == [0, 0, 0, 0]


def test_no_failure_no_proposal(draw: Draw) -> None:
    evidence = _evidence(draw(0))
    assert propose_rules(replace(evidence, errors=np.zeros_like(evidence.is_misclassified))) == []


def test_at_most_so_many_and_none_a_copy_of_another(draw: Draw) -> None:
    found = propose_rules(_evidence(draw(2)), max_rules=3)
    assert 1 <= len(found) <= 3
    errors = draw(2).val.is_misclassified
    for i, one in enumerate(found):
        for other in found[:i]:
            both, either = (
                (one.mask & other.mask & errors).sum(),
                ((one.mask | other.mask) & errors).sum(),
            )
            assert both <= 0.4 * either


def test_tiny_sets_survive(draw: Draw) -> None:
    planted = draw(0, groups=2, frames=3)
    assert propose_rules(_evidence(planted)) == []


def test_what_an_intervention_repairs_is_found_where_excess_error_is_not_to_be_had(
    draw: Draw,
) -> None:
    """The planted images fail no more than others here, but the first intervention repairs only theirs."""
    planted = draw(3)
    val, rng = planted.val, np.random.default_rng(0)
    errors = rng.random(len(val.frame)) < 0.3
    repaired = errors & planted.dark & (rng.random(len(errors)) < 0.9)
    margin = np.where(errors, -1.0, 1.0) * rng.gamma(2, 1, len(errors))
    after = np.column_stack([np.where(errors, repaired, True), ~errors])
    probe = replace(val.probe_results, correct=~errors, after=after, margin=margin)
    evidence = replace(
        _evidence(planted),
        errors=errors,
        repairs=compute_matched_residuals(probe),
        gains=probe.change,
    )
    found = propose_rules(evidence)
    best = max(found, key=lambda p: (p.mask & planted.dark).sum() / (p.mask | planted.dark).sum())
    assert (best.mask & planted.dark).sum() > 0.7 * (best.mask | planted.dark).sum()
    assert best.rule.source == "repair"


def test_a_threshold_is_no_wider_than_the_failures_that_it_gathers() -> None:
    """All failures lie below 40. An intervention repairs them, and up to 100 it breaks less than it does above."""
    rng, light = np.random.default_rng(0), np.repeat(np.linspace(0, 200, 200), 2)
    errors = (light < 40) & (rng.random(len(light)) < 0.7)
    repairs = np.where(errors, 1.0, np.where(light < 100, 0.2, -0.2))[:, None]
    groups = [f"g{k}" for k in np.arange(len(light)) // 2]
    frame = pd.DataFrame(
        {"image_id": [f"i{k}" for k in range(len(light))], "label": "a", "group": groups}
    )
    near, signatures = np.zeros((0, len(light)), np.float32), np.zeros((len(light), 0), np.float32)
    gains = errors[:, None].astype(float)
    found = propose_rules(
        ProposalEvidence(
            frame.assign(luminance=light), errors, signatures, repairs, gains, (), near
        )
    )
    assert found[0].rule.conditions[0].op == "<="
    assert 30 <= found[0].rule.conditions[0].value <= 42, found[0].rule.format_text()


def test_of_two_groups_of_failures_the_costlier_comes_first(draw: Draw) -> None:
    """Dark images fail more often, images of the camera `south` with blur at a tenth of the dark ones' number."""
    planted = draw(0)
    evidence, rng = _evidence(planted), np.random.default_rng(0)
    groups = planted.val.frame["group"].to_numpy()
    soft = np.isin(groups, rng.permutation(np.unique(groups))[:20]) & ~planted.dark
    frame = planted.val.frame.assign(sharpness=np.where(soft, -9.0, planted.val.frame["sharpness"]))
    errors = evidence.is_misclassified | (soft & (rng.random(len(soft)) < 0.4))
    both = replace(evidence, frame=frame, errors=errors)
    plain = propose_rules(both)[0].rule.conditions
    assert {c.column for c in plain} <= {"luminance", "hour"}
    cheap = np.where(planted.dark, 0.1, 1.0) * errors
    assert {c.column for c in propose_rules(replace(both, costs=cheap))[0].rule.conditions} == {
        "sharpness"
    }
