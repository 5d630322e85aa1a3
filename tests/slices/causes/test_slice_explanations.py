"""Rows of `explanations` and `causes`: pipeline/slices/causes/slice_explanations.py."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.domain.rules import Condition, Rule
from pipeline.domain.statuses import CauseConfidence
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.causes.cause_naming import CauseCandidate
from pipeline.slices.causes.slice_explanations import (
    CAUSE_DTYPES,
    EXPLANATION_DTYPES,
    build_explanation,
    list_cause_rows,
    measure_repair_share,
)
from pipeline.slices.testing.held_out_slices import HeldOutSlice, collect_slice_evidence
from pipeline.slices.testing.slice_confirmation import confirm_slice
from tests.helpers.validation_sets import make_validation_set

COUNT = 200
INTERVENTIONS = pd.DataFrame({"remedy": ["exposure", "exposure"], "strength": [0.5, 2.0]})
DARK = Rule((Condition("luminance", "<=", 50),))


def _make_case(rule: Rule = DARK) -> tuple[ValidationSet, HeldOutSlice]:
    """Return a slice of 50 images, of which 40 fail; the second intervention repairs all."""
    ids = [f"i{row}" for row in range(COUNT)]
    is_member = np.arange(COUNT) % 4 == 0
    is_wrong = is_member & (np.arange(COUNT) % 20 != 0)
    frame = pd.DataFrame({"image_id": ids, "label": "a", "group": ids})
    labels = np.zeros(COUNT, np.intp)
    after = np.column_stack([~is_wrong, np.ones(COUNT, bool)])
    val = make_validation_set(frame, labels, is_wrong.astype(np.intp), is_correct_after=after)
    rules = dict.fromkeys((0, 1), rule)
    second = np.ones(COUNT, np.intp)
    return val, HeldOutSlice("s1", 3, rules, 0, 0.01, is_member, is_member, second)


def _explain(
    candidates: list[CauseCandidate],
    strength_range: tuple[float, float] | None = None,
    rule: Rule = DARK,
) -> dict[str, Any]:
    val, held_out = _make_case(rule)
    slice_test = confirm_slice(collect_slice_evidence(val, held_out, 0), held_out.family_p, 0.05)
    return build_explanation(val, held_out, slice_test, candidates, strength_range, INTERVENTIONS)


def _make_candidate(**fields: Any) -> CauseCandidate:
    defaults = {"is_invertible": True, "is_named": True} | fields
    return CauseCandidate("exposure", "too dark", 0.5, 0.1, **defaults)


def test_the_row_counts_the_slice_and_its_failures() -> None:
    row = _explain([])
    assert set(row) | {"shared_traits"} == set(EXPLANATION_DTYPES)
    pd.DataFrame([row | {"shared_traits": "[]"}]).astype(EXPLANATION_DTYPES)
    assert (row["slice"], row["rank"], row["status"]) == ("s1", 3, "confirmed")
    assert (row["n"], row["groups"], row["failures"]) == (50, 50, 40)
    assert row["error"] == pytest.approx(0.8)
    assert row["expected"] == pytest.approx(0.0)
    assert (row["confused_label"], row["confused_prediction"]) == ("a", "b")
    assert (row["remedy"], row["strength"]) == ("exposure", 2.0)
    assert row["effect_low"] <= row["effect"] <= row["effect_high"]
    assert Rule.parse_json(row["frozen"]) == DARK


@pytest.mark.parametrize(
    ("candidates", "confidence"),
    [
        ([], CauseConfidence.UNNAMED),
        ([_make_candidate(is_named=False)], CauseConfidence.UNNAMED),
        ([_make_candidate()], CauseConfidence.CONSISTENT),
        ([_make_candidate(is_inverse_confirmed=True)], CauseConfidence.INVERSE_CONFIRMED),
        ([_make_candidate(is_suspected=True)], CauseConfidence.SUSPECTED),
    ],
)
def test_the_confidence_follows_from_the_named_cause(
    candidates: list[CauseCandidate], confidence: CauseConfidence
) -> None:
    row = _explain(candidates)
    assert row["confidence"] == confidence
    is_named = confidence != CauseConfidence.UNNAMED
    assert (row["cause"] == "exposure") is is_named


def test_a_slice_of_unmarked_images_leans_on_the_mark() -> None:
    rule = Rule((Condition("mark of a", "is", "False"),), "a")
    assert rule.is_unmarked_class
    assert _explain([], rule=rule)["confidence"] == CauseConfidence.LEANS_ON_MARK


def test_named_causes_and_their_strengths_are_kept() -> None:
    row = _explain([_make_candidate()], (0.4, 0.6))
    assert json.loads(row["named_causes"]) == [{"remedy": "exposure", "strength": 0.5}]
    assert (row["strength_low"], row["strength_high"]) == (0.4, 0.6)
    assert (row["repair_strength"], row["repair_share"]) == (2.0, 1.0)
    without = _explain([])
    assert json.loads(without["named_causes"]) == []
    unknown = ("strength_low", "strength_high", "repair_strength", "repair_share")
    assert np.isnan([without[name] for name in unknown]).all()


@pytest.mark.parametrize(
    ("is_invertible", "repair"), [(True, (2.0, 1.0)), (False, (np.nan, np.nan))]
)
def test_only_a_cause_with_an_inverse_is_undone(
    is_invertible: bool, repair: tuple[float, float]
) -> None:
    val, held_out = _make_case()
    cause = _make_candidate(is_invertible=is_invertible)
    measured = measure_repair_share(val, held_out, cause, INTERVENTIONS)
    assert measured == pytest.approx(repair, nan_ok=True)


def test_cause_rows_hold_every_column() -> None:
    rows = list_cause_rows("s1", [_make_candidate(), _make_candidate(is_named=False)])
    table = pd.DataFrame(rows, columns=list(CAUSE_DTYPES)).astype(CAUSE_DTYPES)
    assert table["is_named"].tolist() == [True, False]
    assert table["slice"].tolist() == ["s1", "s1"]
    assert table["repair_effect"].isna().all()
