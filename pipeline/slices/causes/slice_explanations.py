"""Rows of the artifacts `explanations` and `causes`."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from pipeline.domain.rules import Mask, Rule
from pipeline.domain.slice_setting import dump_setting, find_confused_pair, find_setting
from pipeline.domain.statuses import CauseConfidence
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.cross_fitting import assign_halves
from pipeline.slices.causes.cause_naming import CauseCandidate
from pipeline.slices.causes.repair_test import find_inverse_intervention
from pipeline.slices.testing.held_out_slices import HeldOutSlice
from pipeline.slices.testing.slice_confirmation import SliceTest
from pipeline.statistics.permutation_tests import PermutationTest

EXPLANATION_DTYPES = {
    "slice": "str",
    "rank": "int64",
    "status": "str",
    "named_causes": "str",
    "setting": "str",
    "setting_failures": "int64",
    "confused_label": "str",
    "confused_prediction": "str",
    "repair_strength": "float64",
    "repair_share": "float64",
    "rule": "str",
    "frozen": "str",
    "applied_rules": "str",
    "cause": "str",
    "shared_traits": "str",
    "strength_low": "float64",
    "strength_high": "float64",
    "confidence": "str",
    "n": "int64",
    "groups": "int64",
    "failures": "int64",
    "error": "float64",
    "expected": "float64",
    "excess": "float64",
    "low": "float64",
    "high": "float64",
    "p_excess": "float64",
    "remedy": "str",
    "strength": "float64",
    "effect": "float64",
    "effect_low": "float64",
    "effect_high": "float64",
    "p_effect": "float64",
    "q_value": "float64",
    "groups_needed": "Int64",
}
"""Columns and dtypes of the artifact `explanations`."""

CAUSE_DTYPES = {
    "slice": "str",
    "remedy": "str",
    "strength": "float64",
    "attribute_distance": "float64",
    "auc": "float64",
    "reproduction_rate": "float64",
    "repair_effect": "float64",
    "repair_p_value": "float64",
    "regained_share": "float64",
    "shortfall_p_value": "float64",
    "attributed_share": "float64",
    "attribution_lead": "float64",
    "is_equivalent": "bool",
    "is_named": "bool",
    "refusal": "str",
}
"""Columns and dtypes of the artifact `causes`; all but `slice` are fields of `CauseCandidate`."""


def build_explanation(
    val: ValidationSet,
    held_out: HeldOutSlice,
    slice_test: SliceTest,
    candidates: list[CauseCandidate],
    strength_range: tuple[float, float] | None,
    interventions: pd.DataFrame,
) -> dict[str, Any]:
    """Return the row of `explanations` of one slice, without `shared_traits`.

    Args:
        val: the validation set.
        held_out: the slice.
        slice_test: its tests.
        candidates: causes that were tried, best first.
        strength_range: range of the strengths of the named cause, or None.
        interventions: `remedy` and `strength` of each probed intervention.
    """
    named = [candidate for candidate in candidates if candidate.is_named]
    cause = named[0] if named else None
    rule = held_out.final_rule
    named_causes = [{"remedy": item.remedy, "strength": item.strength} for item in named]
    low, high = strength_range or (np.nan, np.nan)
    return {
        "slice": held_out.name,
        "rank": held_out.rank,
        "status": slice_test.status,
        "named_causes": json.dumps(named_causes),
        **_describe_failures(val, held_out, cause, interventions),
        "rule": rule.format_text(),
        "frozen": rule.dump_json(),
        "applied_rules": json.dumps(held_out.list_applied_rules(assign_halves(val.folds))),
        "cause": cause.remedy if cause else None,
        "strength_low": low,
        "strength_high": high,
        "confidence": _classify_confidence(cause, rule),
        **_summarize_excess(val, held_out.is_member, slice_test.excess_test),
        **_find_chosen_intervention(held_out, interventions),
        **_summarize_effect(slice_test.effect_test),
        "q_value": slice_test.q_value,
        "groups_needed": _find_required_groups(slice_test),
    }


def list_cause_rows(slice_name: str, candidates: list[CauseCandidate]) -> list[dict[str, Any]]:
    """Return the rows of `causes` of one slice, in the order of the candidates."""
    fields = [name for name in CAUSE_DTYPES if name != "slice"]
    rows = []
    for candidate in candidates:
        values = {name: getattr(candidate, name) for name in fields}
        rows.append({"slice": slice_name, **values})
    return rows


def measure_repair_share(
    val: ValidationSet,
    held_out: HeldOutSlice,
    cause: CauseCandidate | None,
    interventions: pd.DataFrame,
) -> tuple[float, float]:
    """Return the strength of the inverse transform and the share of failures that it repairs.

    Both are NaN if no inverse of the cause was tried on a failure of the slice.

    Args:
        val: the validation set.
        held_out: the slice.
        cause: its named cause.
        interventions: `remedy` and `strength` of each probed intervention.
    """
    if cause is None or not cause.is_invertible:
        return np.nan, np.nan
    column = find_inverse_intervention(interventions, cause)
    results = val.probe_results
    is_failure = held_out.is_member[val.probed_rows] & ~results.correct
    if column is None or not results.is_asked[is_failure, column].any():
        return np.nan, np.nan
    weights = results.cell_weights[is_failure, column]
    share = np.average(results.after[is_failure, column], weights=weights)
    return float(interventions["strength"].iloc[column]), float(share)


def _describe_failures(
    val: ValidationSet,
    held_out: HeldOutSlice,
    cause: CauseCandidate | None,
    interventions: pd.DataFrame,
) -> dict[str, Any]:
    """Return the columns on the setting, the confusion and the repair of the failures."""
    is_failure = held_out.is_member & val.is_misclassified
    setting, is_in_setting = find_setting(val.frame[is_failure], val.frame[~held_out.is_member])
    class_names = np.array(val.class_names, dtype=object)
    confused_pair = find_confused_pair(
        class_names[val.labels[is_failure]].tolist(),
        class_names[val.predictions[is_failure]].tolist(),
    )
    label, prediction = confused_pair or (None, None)
    strength, share = measure_repair_share(val, held_out, cause, interventions)
    return {
        "setting": dump_setting(setting),
        "setting_failures": int(is_in_setting.sum()),
        "confused_label": label,
        "confused_prediction": prediction,
        "repair_strength": strength,
        "repair_share": share,
    }


def _classify_confidence(cause: CauseCandidate | None, rule: Rule) -> CauseConfidence:
    if cause is None:
        return CauseConfidence.LEANS_ON_MARK if rule.is_unmarked_class else CauseConfidence.UNNAMED
    if cause.is_suspected:
        return CauseConfidence.SUSPECTED
    if cause.is_inverse_confirmed:
        return CauseConfidence.INVERSE_CONFIRMED
    return CauseConfidence.CONSISTENT


def _summarize_excess(val: ValidationSet, is_member: Mask, test: PermutationTest) -> dict[str, Any]:
    """Return the columns on the size and the error of a slice; an unknown end is an extreme one."""
    error = float(val.error_losses[is_member].mean()) if is_member.any() else 0.0
    excess, low, high = np.nan_to_num(
        [test.interval.value, test.interval.low, test.interval.high],
        nan=0.0,
        posinf=1.0,
        neginf=-1.0,
    ).tolist()
    return {
        "n": int(is_member.sum()),
        "groups": len(np.unique(val.groups[is_member])),
        "failures": int(val.is_misclassified[is_member].sum()),
        "error": error,
        "expected": error - excess,
        "excess": excess,
        "low": low,
        "high": high,
        "p_excess": test.p,
    }


def _find_chosen_intervention(
    held_out: HeldOutSlice, interventions: pd.DataFrame
) -> dict[str, Any]:
    """Return the intervention that the rules chose for most images of a slice."""
    columns = held_out.intervention_columns[held_out.is_member]
    most_frequent = pd.Series(columns[columns >= 0]).mode()
    if most_frequent.empty:
        return {"remedy": None, "strength": np.nan}
    row = interventions.iloc[most_frequent.iloc[0]]
    return {"remedy": str(row["remedy"]), "strength": float(row["strength"])}


def _summarize_effect(test: PermutationTest | None) -> dict[str, Any]:
    """Return the columns on the matched effect; NaN if it was not tested or is unknown."""
    p_value = np.nan if test is None else test.p
    if test is None or not np.isfinite(test.interval.value):
        unknown = dict.fromkeys(("effect", "effect_low", "effect_high"), np.nan)
        return {**unknown, "p_effect": p_value}
    return {
        "effect": test.interval.value,
        "effect_low": test.interval.low,
        "effect_high": test.interval.high,
        "p_effect": p_value,
    }


def _find_required_groups(slice_test: SliceTest) -> int | None:
    """Return the number of groups with which the first of both tests would decide, or None."""
    counts = []
    for test in (slice_test.excess_test, slice_test.effect_test):
        if test and test.required_groups:
            counts.append(test.required_groups)
    return min(counts, default=None)
