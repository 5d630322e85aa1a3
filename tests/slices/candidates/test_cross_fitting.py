from dataclasses import replace

import numpy as np
import pandas as pd

from pipeline.domain.rules import Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.cross_fitting import (
    FinderSettings,
    assign_halves,
    build_slice_tables,
    compute_overlap,
    cross_fit_slices,
)
from tests.slices.conftest import Draw

REMEDIES = pd.DataFrame({"remedy": ["exposure", "blur"], "strength": [2.0, 1.2]})


def _embedded(val: ValidationSet) -> ValidationSet:
    noise = np.random.default_rng(0).normal(0, 1, (len(val.frame), 8)).astype(np.float32)
    return replace(val, embeddings=noise)


def test_every_other_fold_is_a_half() -> None:
    assert assign_halves(np.array([7, 2, 4, 4, 9])).tolist() == [0, 0, 1, 1, 1]


def test_a_rule_serves_all_folds_of_the_half_that_it_never_saw(draw: Draw) -> None:
    planted = draw(0)
    slices, members = build_slice_tables(
        planted.val, cross_fit_slices(_embedded(planted.val), FinderSettings(), 0), REMEDIES
    )
    first = slices[slices["slice"] == "s1"]
    assert first["fold"].tolist() == [0, 1, 2, 3, 4]
    assert first.groupby(first["fold"] % 2)["rule"].nunique().eq(1).all()
    dark = set(planted.val.frame["image_id"][planted.dark])
    found = set(members.loc[members["slice"] == "s1", "image_id"])
    assert len(found & dark) / len(found | dark) > 0.8


def test_what_one_half_answers_never_changes_what_is_tested_on_it(draw: Draw) -> None:
    """Neither its rules nor how many of them there are: none is left out for what the other half says."""
    planted = draw(0)
    val, half = planted.val, assign_halves(planted.val.folds)
    turned = np.where(
        half == 0, np.where(val.is_misclassified, val.labels, (val.labels + 1) % 3), val.predictions
    )
    both = [_embedded(val), _embedded(replace(val, predictions=turned))]
    rules = [
        sorted(
            s.rules_by_half[0].proposal.rule.dump_json()
            for s in cross_fit_slices(m, FinderSettings(), 0)
            if 0 in s.rules_by_half
        )
        for m in both
    ]
    assert rules[0]
    assert rules[0] == rules[1]


def test_a_rule_on_looks_is_told_in_numbers_too(draw: Draw) -> None:
    """What lies at both ends of a measure is one group of look-alikes and no one condition; the tree says both ends."""
    planted, rng = draw(1, planted=False), np.random.default_rng(0)
    val, n = planted.val, len(planted.val.frame)
    odd = np.repeat(rng.random(n // 8) < 0.15, 8)
    ends = np.where(odd, rng.choice([-3.0, 3.0], n), rng.normal(0, 0.5, n))
    failing = odd & (rng.random(n) < 0.7)
    guess = np.where(failing, (val.labels + 1) % 3, val.labels)
    features = (rng.normal(0, 0.3, (n, 8)) + 2 * np.eye(8)[odd.astype(int)]).astype(np.float32)
    val = replace(
        val, frame=val.frame.assign(sharpness=ends), predictions=guess, embeddings=features
    )
    rules = [a.proposal.rule for s in cross_fit_slices(val, FinderSettings(), 0)
             for a in s.rules_by_half.values()]  # fmt: skip
    by_looks = [rule for rule in rules if rule.has_similarity_condition]
    assert by_looks
    assert all(
        "sharpness <= " in rule.numbers and " or sharpness > " in rule.numbers for rule in by_looks
    )
    assert rule_again(by_looks[0]) == by_looks[0].format_text()
    assert not any(rule.numbers for rule in rules if not rule.has_similarity_condition)


def rule_again(rule: Rule) -> str:
    return Rule.parse_json(rule.dump_json()).format_text()


def test_one_fold_makes_no_slices(draw: Draw) -> None:
    planted = draw(0)
    assert (
        cross_fit_slices(
            _embedded(replace(planted.val, folds=planted.val.folds * 0)), FinderSettings(), 0
        )
        == []
    )


def test_overlap_is_what_both_admit_of_what_either_does() -> None:
    a, b = np.array([1, 1, 1, 0], bool), np.array([0, 1, 1, 1], bool)
    assert (compute_overlap(a, b), compute_overlap(a, a), compute_overlap(a, ~a)) == (0.5, 1.0, 0.0)
    assert compute_overlap(a & ~a, b & ~b) == 0.0
