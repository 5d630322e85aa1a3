"""Slices on the half that did not propose them: pipeline/slices/testing/held_out_slices.py."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.domain.rules import Condition, Rule
from pipeline.slices.candidates.cross_fitting import assign_halves
from pipeline.slices.testing.held_out_slices import (
    HeldOutSlice,
    collect_slice_evidence,
    load_held_out_slices,
)
from tests.helpers.validation_sets import make_validation_set

DARK = Rule((Condition("luminance", "<=", 50),))
DIM = Rule((Condition("luminance", "<=", 60),))


def test_each_half_has_the_rule_and_the_intervention_of_its_folds() -> None:
    count = 40
    frame = pd.DataFrame({"image_id": [f"i{row}" for row in range(count)], "label": "a"})
    frame["group"] = frame["image_id"]
    labels = np.zeros(count, np.intp)
    val = make_validation_set(frame, labels, labels)
    halves = assign_halves(val.folds)
    rows = []
    for fold in range(5):
        half = halves[val.folds == fold][0]
        rule = (DARK, DIM)[half]
        strength = (2.0, 4.0)[half]
        rows.append(("s1", 1, fold, rule.dump_json(), "exposure", strength, 0.03, half == 1))
    columns = ["slice", "rank", "fold", "rule", "remedy", "strength", "family_p", "is_frozen"]
    slices = pd.DataFrame(rows, columns=columns)
    members = frame["image_id"][::2]
    membership = pd.DataFrame({"image_id": members, "slice": "s1", "score": np.arange(20.0)})
    interventions = pd.DataFrame({"remedy": "exposure", "strength": [4.0, 2.0]})
    (held_out,) = load_held_out_slices(val, slices, membership, interventions)
    assert held_out.rule_for_half == {0: DARK, 1: DIM}
    assert (held_out.final_rule, held_out.family_p) == (DIM, 0.03)
    assert (held_out.intervention_columns == np.where(halves == 0, 1, 0)).all()
    assert held_out.is_member.tolist() == [True, False] * 20
    assert (held_out.is_typical <= held_out.is_member).all()
    assert held_out.tested_columns == {"luminance"}
    applied = held_out.list_applied_rules(halves)
    counts = [int((held_out.is_member & (halves == half)).sum()) for half in (0, 1)]
    assert applied == [
        {"rule": DARK.format_text(), "half": 0, "count": counts[0]},
        {"rule": DIM.format_text(), "half": 1, "count": counts[1]},
    ]


def test_an_intervention_that_repairs_a_whole_class_is_no_evidence_about_part_of_it() -> None:
    rng = np.random.default_rng(0)
    count = 1200
    labels = rng.integers(0, 2, count)
    is_inside = rng.random(count) < 0.3
    predictions = np.where(rng.random(count) < 0.3, 1 - labels, labels)
    ids = [f"i{row}" for row in range(count)]
    label_names = np.array(["a", "b"])[labels]
    frame = pd.DataFrame({"image_id": ids, "label": label_names, "group": ids})
    margins = np.where(predictions == labels, 1.0, -1.0) * rng.gamma(2, 1, count)
    is_correct_after = (labels == 0)[:, None]
    val = make_validation_set(
        frame, labels, predictions, is_correct_after=is_correct_after, margins=margins
    )
    first_column = np.zeros(count, np.intp)
    is_member = is_inside & (labels == 0)
    p_values = []
    for rule in (Rule((), "a"), Rule(())):
        held_out = HeldOutSlice(
            "s1", 1, dict.fromkeys((0, 1), rule), 0, 0.01, is_member, is_member, first_column
        )
        effect = collect_slice_evidence(val, held_out, 0).effect_test
        assert effect is not None
        assert effect.p is not None
        p_values.append(effect.p)
    assert p_values[0] > 0.05 > p_values[1]
