from dataclasses import replace

import numpy as np
import pandas as pd

from pipeline.domain.rules import Condition, Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.cross_fitting import (
    assign_halves,
    build_slice_tables,
    compute_overlap,
    cross_fit_slices,
    join_half_rules,
)
from pipeline.slices.candidates.proposal_evidence import ProposedRule
from pipeline.slices.candidates.rule_application import AppliedRule, FinderSettings
from tests.slices.conftest import Draw

INTERVENTIONS = pd.DataFrame({"remedy": ["exposure", "blur"], "strength": [2.0, 1.2]})


def _add_random_features(val: ValidationSet) -> ValidationSet:
    noise = np.random.default_rng(0).normal(0, 1, (len(val.frame), 8)).astype(np.float32)
    return replace(val, embeddings=noise)


def _apply(admitted: str, score: float, label: str | None = None) -> AppliedRule:
    """Return a rule that admits the given ones of the images `abcdef`."""
    mask = np.array([image in admitted for image in "abcdef"])
    rule = Rule((Condition("luminance", "<=", score),), label)
    return AppliedRule(ProposedRule(rule, mask, score, score), mask, None, np.zeros(6))


def test_every_other_fold_is_a_half() -> None:
    assert assign_halves(np.array([7, 2, 4, 4, 9])).tolist() == [0, 0, 1, 1, 1]


def test_a_rule_is_applied_to_all_folds_of_the_half_that_did_not_propose_it(draw: Draw) -> None:
    planted = draw(0)
    val = _add_random_features(planted.val)
    slices, membership = build_slice_tables(
        val, cross_fit_slices(val, FinderSettings(), 0), INTERVENTIONS
    )
    first = slices[slices["slice"] == "s1"]
    assert first["fold"].tolist() == [0, 1, 2, 3, 4]
    assert first.groupby(first["fold"] % 2)["rule"].nunique().eq(1).all()
    assert set(first["remedy"]) == {"exposure"}
    dark = set(val.frame["image_id"][planted.dark])
    members = membership[membership["slice"] == "s1"]
    found = set(members["image_id"])
    assert len(found & dark) / len(found | dark) > 0.8
    folds = val.frame.assign(fold=val.folds).set_index("image_id")["fold"]
    assert (members["fold"].to_numpy() == folds[members["image_id"]]).all()


def test_outcomes_of_a_half_do_not_change_the_rules_that_are_tested_on_it(draw: Draw) -> None:
    """Neither the rules nor their number: none is left out for what the other half shows."""
    val = _add_random_features(draw(0).val)
    wrong = (val.labels + 1) % 3
    inverted = np.where(val.is_misclassified, val.labels, wrong)
    predictions = np.where(assign_halves(val.folds) == 0, inverted, val.predictions)
    rules = []
    for variant in (val, replace(val, predictions=predictions)):
        slices = cross_fit_slices(variant, FinderSettings(), 0)
        tested = [s.rule_for_half[0].proposal.rule for s in slices if 0 in s.rule_for_half]
        rules.append(sorted(rule.dump_json() for rule in tested))
    assert rules[0]
    assert rules[0] == rules[1]


def test_rules_of_both_halves_that_admit_mostly_the_same_images_are_one_slice() -> None:
    rules = {0: [_apply("abcd", 5), _apply("ef", 2)], 1: [_apply("abc", 4), _apply("cd", 3)]}
    slices = join_half_rules(rules, 0.5)
    admitted = [{h: a.proposal.score for h, a in s.rule_for_half.items()} for s in slices]
    assert admitted == [{0: 5, 1: 4}, {1: 3}, {0: 2}], "best first, each rule in one slice"
    assert [s.score for s in slices] == [9, 3, 2]
    assert len(join_half_rules(rules, 0.8)) == 4


def test_the_larger_overlap_decides_and_classes_are_kept_apart() -> None:
    near, nearer = _apply("abcde", 9), _apply("abcd", 8)
    (best, second) = join_half_rules({0: [near, nearer], 1: [_apply("abcd", 2)]}, 0.5)
    assert set(best.rule_for_half) == {0, 1}
    assert best.rule_for_half[0] is nearer
    assert second.rule_for_half == {0: near}
    of_class = {0: [_apply("abcd", 5)], 1: [_apply("abcd", 4, label="a")]}
    assert [s.label for s in join_half_rules(of_class, 0.5)] == [None, "a"]


def test_one_fold_makes_no_slices(draw: Draw) -> None:
    val = _add_random_features(draw(0).val)
    assert cross_fit_slices(replace(val, folds=val.folds * 0), FinderSettings(), 0) == []


def test_tables_without_slices_have_their_columns(draw: Draw) -> None:
    slices, membership = build_slice_tables(draw(0).val, [], INTERVENTIONS)
    assert (len(slices), len(membership)) == (0, 0)
    assert slices["rank"].dtype == np.int64
    assert membership["score"].dtype == np.float64


def test_the_overlap_is_the_share_of_images_in_both() -> None:
    first, second = np.array([1, 1, 1, 0], bool), np.array([0, 1, 1, 1], bool)
    assert compute_overlap(first, second) == 0.5
    assert compute_overlap(first, first) == 1.0
    assert compute_overlap(first, ~first) == 0.0
    nothing = np.zeros(4, bool)
    assert compute_overlap(nothing, nothing) == 0.0
