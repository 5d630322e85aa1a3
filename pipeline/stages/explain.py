"""Tests every slice on the folds that did not propose it, and names its cause and strength, or says unnamed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline import remedies
from pipeline.attributes import measure_images as attributes_of
from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.domain.rules import Mask, Rule, iterate_rows
from pipeline.domain.slice_setting import dump_setting, find_confused_pair, find_setting
from pipeline.domain.statuses import CauseConfidence, SliceStatus
from pipeline.domain.validation_set import ValidationSet
from pipeline.learning.inference.model_outputs import compute_logits, extract_features
from pipeline.learning.models.backbone import load_model
from pipeline.slices.candidates.cross_fitting import assign_halves
from pipeline.slices.candidates.typicality import select_core_images
from pipeline.slices.causes.cause_naming import CauseCandidate
from pipeline.slices.causes.good_images import select_good_images
from pipeline.slices.causes.repair_test import InterventionTools, find_inverse_intervention
from pipeline.slices.causes.shared_traits import describe_shared_traits
from pipeline.slices.causes.treatment_matching import find_causes, suspect_cause
from pipeline.slices.testing.slice_confirmation import (
    SliceEvidence,
    SliceTest,
    confirm_slices,
    run_effect_test,
)
from pipeline.statistics.permutation_tests import estimate_excess_error


class Config(StageSettings):
    """Settings of the tests and of the naming."""

    false_discovery_rate: float = Field(
        0.05, gt=0, lt=1, description="false discovery rate over everything tested"
    )
    matched_images: int = Field(
        150, ge=30, description="images of a slice, and good images, that a cause is matched on"
    )


@dataclass(frozen=True)
class HeldOutSlice:
    """A slice as cluster left it. rules: by the half (0 or 1) that each is applied to; `inside`: held-out members;
    typical: those of them on whom the cause is matched."""

    name: str
    rank: int
    rules_by_half: dict[int, Rule]
    is_member: Mask
    is_typical: Mask
    intervention_columns: NDArray[
        np.intp
    ]  # intervention of each row's half, -1 where there is none

    @property
    def label(self) -> str | None:
        """The class that all its rules have as their label part, or None."""
        return next(iter(self.rules_by_half.values())).label

    def select_final_rule(self, slice_test: SliceTest) -> Rule:
        """The rule that is in force outside val: of the half that tested best."""
        return self.rules_by_half[sorted(self.rules_by_half)[slice_test.best_index]]

    def describe_applied_rules(self, row_halves: NDArray[np.intp]) -> str:
        """In words, which rule admitted how many images, on which half of val (`half`: 0 or 1 of each row)."""
        counts = {h: int((self.is_member & (row_halves == h)).sum()) for h in self.rules_by_half}
        told = [
            f"{rule.format_text()} ({counts[h]:,} images of half {h + 1})"
            for h, rule in sorted(self.rules_by_half.items())
        ]
        return "; ".join(told)


def _load_held_out_slices(
    val: ValidationSet, slices: pd.DataFrame, membership: pd.DataFrame, interventions: pd.DataFrame
) -> list[HeldOutSlice]:
    column = {(r.remedy, r.strength): i for i, r in enumerate(iterate_rows(interventions))}
    half = assign_halves(val.folds)
    half_of = dict(zip(val.folds.tolist(), half.tolist(), strict=True))
    found = []
    for name, table in slices.groupby("slice", sort=False):
        score = membership[membership["slice"] == name].set_index("image_id")["score"]
        scores = val.frame["image_id"].map(score).fillna(-np.inf).to_numpy(dtype=float)
        rows = [(half_of[int(r.fold)], r) for r in iterate_rows(table)]
        by_half = {h: column.get((r.remedy, r.strength), -1) for h, r in rows}
        chosen = np.array([by_half.get(int(h), -1) for h in half], dtype=np.intp)
        rules = {h: Rule.parse_json(r.rule) for h, r in rows}
        masks = (np.isfinite(scores), select_core_images(scores, half))
        found.append(HeldOutSlice(str(name), int(table["rank"].iloc[0]), rules, *masks, chosen))
    return found


def _collect_evidence(
    val: ValidationSet, held_out: HeldOutSlice, seed: int
) -> tuple[SliceEvidence, list[SliceEvidence]]:
    """The tests over all that a rule of this slice was applied to, and of each rule by itself, in the order of the
    halves."""
    half = assign_halves(val.folds)
    told = np.isin(
        half, list(held_out.rules_by_half)
    )  # a half to which no rule of this slice was applied says nothing about it
    return compute_slice_evidence(val, held_out, told, seed), [
        compute_slice_evidence(val, held_out, half == h, seed)
        for h in sorted(held_out.rules_by_half)
    ]


def compute_slice_evidence(
    val: ValidationSet, held_out: HeldOutSlice, is_tested: Mask, seed: int
) -> SliceEvidence:
    """Both tests of a slice on the rows `told` (bool [rows])."""
    excess = estimate_excess_error(
        val.error_losses[is_tested],
        val.labels[is_tested],
        held_out.is_member[is_tested],
        val.groups[is_tested],
        seed=seed,
    )
    # against others of the class: what turns every answer into this class would repair it wherever one looks
    alike = (
        is_tested
        if held_out.label is None
        else is_tested & np.asarray(val.frame["label"] == held_out.label)
    )
    chosen = np.where(alike, held_out.intervention_columns, -1)
    return SliceEvidence(
        excess,
        run_effect_test(
            val.probe_results, chosen[val.probed_rows], held_out.is_member[val.probed_rows], seed
        ),
    )


def _confused_pair(val: ValidationSet, failing: Mask) -> tuple[str | None, str | None]:
    labels, predictions = (
        [val.class_names[k] for k in codes[failing]] for codes in (val.labels, val.predictions)
    )
    return find_confused_pair(labels, predictions) or (None, None)


def _repair(
    val: ValidationSet,
    item: HeldOutSlice,
    rival: CauseCandidate | None,
    interventions: pd.DataFrame,
) -> tuple[float, float]:
    """Return the strength of the inverse transform and the share of the slice's failures that it repairs.

    NaN where nothing undoes the cause.
    """
    column = (
        find_inverse_intervention(interventions, rival) if rival and rival.is_invertible else None
    )
    inside = item.is_member[val.probed_rows] & ~val.probe_results.correct
    if rival is None or column is None or not inside.any():
        return np.nan, np.nan
    share = np.average(
        val.probe_results.after[inside, column], weights=val.probe_results.weights[inside]
    )
    return float(interventions["strength"].iloc[column]), float(share)


def _build_intervention_tools(pixels: NDArray[np.uint8], model: Path) -> InterventionTools:
    net, meta = load_model(model)
    return InterventionTools(
        pixels,
        remedies.apply_remedy,
        lambda treated: attributes_of(treated).to_numpy(dtype=float),
        lambda treated: np.asarray(compute_logits(net, treated, meta).argmax(1)),
        extract_features,
    )


def _describe_confidence(cause: CauseCandidate | None, rule: Rule) -> CauseConfidence:
    if cause is None:
        return CauseConfidence.LEANS_ON_MARK if rule.is_unmarked_class else CauseConfidence.UNNAMED
    if cause.is_suspected:
        return CauseConfidence.SUSPECTED
    return (
        CauseConfidence.INVERSE_CONFIRMED
        if cause.is_inverse_confirmed
        else CauseConfidence.CONSISTENT
    )


def _failure_facts(
    val: ValidationSet, item: HeldOutSlice, best: CauseCandidate | None, interventions: pd.DataFrame
) -> dict[str, Any]:
    """Return the columns of `explanations` that say what the failures of a slice share."""
    failing = item.is_member & val.is_misclassified
    setting, held = find_setting(val.frame[failing], val.frame[~item.is_member])
    label, prediction = _confused_pair(val, failing)
    strength, share = _repair(val, item, best, interventions)
    return {
        "setting": dump_setting(setting),
        "setting_failures": int(held.sum()),
        "confused_label": label,
        "confused_prediction": prediction,
        "repair_strength": strength,
        "repair_share": share,
    }


def _build_explanation(
    val: ValidationSet,
    held_out: HeldOutSlice,
    slice_test: SliceTest,
    cause_candidates: list[CauseCandidate],
    strength_range: tuple[float, float] | None,
    interventions: pd.DataFrame,
) -> dict[str, Any]:
    named = [r for r in cause_candidates if r.named]
    best = named[0] if named else None
    rule = held_out.select_final_rule(slice_test)
    inside, errors, effect = held_out.is_member, val.is_misclassified, slice_test.effect_test
    column = pd.Series(
        held_out.intervention_columns[inside & (held_out.intervention_columns >= 0)]
    ).mode()
    error = float(val.error_losses[inside].mean()) if inside.any() else 0.0
    excess = slice_test.excess_test.interval
    finite = {
        k: float(np.nan_to_num(v, nan=0.0, posinf=1.0, neginf=-1.0))
        for k, v in (("excess", excess.value), ("low", excess.low), ("high", excess.high))
    }
    effect_known = effect is not None and np.isfinite(effect.interval.value)
    return {
        "slice": held_out.name,
        "rank": held_out.rank,
        "status": slice_test.status,
        "named_causes": json.dumps([{"remedy": r.remedy, "strength": r.strength} for r in named]),
        **_failure_facts(val, held_out, best, interventions),
        "rule": rule.format_text(),
        "frozen": rule.dump_json(),
        "applied": held_out.describe_applied_rules(assign_halves(val.folds)),
        "cause": best.remedy if best else None,
        "strength_low": strength_range[0] if strength_range else np.nan,
        "strength_high": strength_range[1] if strength_range else np.nan,
        "confidence": _describe_confidence(best, rule),
        "n": int(inside.sum()),
        "groups": len(np.unique(val.groups[inside])),
        "failures": int(errors[inside].sum()),
        "error": error,
        "expected": error - finite["excess"],
        **finite,
        "p_excess": slice_test.excess_test.p,
        "remedy": str(interventions["remedy"].iloc[column.iloc[0]]) if len(column) else None,
        "strength": float(interventions["strength"].iloc[column.iloc[0]]) if len(column) else np.nan,
        "effect": effect.interval.value if effect and effect_known else np.nan,
        "effect_low": effect.interval.low if effect and effect_known else np.nan,
        "effect_high": effect.interval.high if effect and effect_known else np.nan,
        "p_effect": effect.p if effect else np.nan,
        "q_value": slice_test.q_value,
        "groups_needed": min(
            [
                t.required_groups
                for t in (slice_test.excess_test, effect)
                if t and t.required_groups
            ],
            default=None,
        ),
    }


def _describe_common_traits(val: ValidationSet, held_out: HeldOutSlice, seed: int) -> str | None:
    asked = {c.column for rule in held_out.rules_by_half.values() for c in rule.conditions}
    return describe_shared_traits(val, held_out.is_member, asked, seed)


EXPLANATION_COLUMNS = {
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
    "applied": "str",
    "cause": "str",
    "common": "str",
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
_CAUSE_NUMBER_COLUMNS = (
    "strength",
    "apart",
    "auc",
    "reproduces",
    "repairs",
    "p_repairs",
    "share",
    "ahead",
)
CAUSE_COLUMNS = dict.fromkeys(("slice", "remedy"), "str") | dict.fromkeys(
    _CAUSE_NUMBER_COLUMNS, "float64"
)
CAUSE_COLUMNS |= dict.fromkeys(("equivalent", "named"), "bool")


def run(
    config: Config,
    context: StageContext,
    *,
    pixels: NDArray[np.uint8],
    model: Path,
    validation_set: ValidationSet,
    dose_response: pd.DataFrame,
    slices: pd.DataFrame,
    membership: pd.DataFrame,
) -> StageOutputs:
    """Test every slice and name its cause."""
    val = validation_set.without_label_issues()
    return explain_slices(
        config,
        context,
        val,
        _build_intervention_tools(pixels, model),
        (slices, membership, dose_response),
    )


def explain_slices(
    config: Config,
    context: StageContext,
    val: ValidationSet,
    tools: InterventionTools,
    tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
) -> StageOutputs:
    """The same for any model that `tools` can ask, or none (then causes are suspected only).

    tables: `slices`, `membership` and `dose_response`.
    """
    slices, membership, dose_response = tables
    found = _load_held_out_slices(val, slices, membership, dose_response)
    judged = confirm_slices(
        [_collect_evidence(val, item, context.seed) for item in found], config.false_discovery_rate
    )
    is_confirmed = [tested.status == SliceStatus.CONFIRMED for tested in judged]
    confirmed = [item.is_member for item, wanted in zip(found, is_confirmed, strict=True) if wanted]
    outside = ~np.logical_or.reduce(confirmed) if confirmed else np.ones(len(val.frame), bool)
    rows, causes = [], []
    for item, tested in context.track_progress(
        list(zip(found, judged, strict=True)), total=len(found), unit="slices"
    ):
        rivals, fitted = list[CauseCandidate](), None
        caused = tested.status == SliceStatus.CONFIRMED and not item.stated(tested).unmarked
        if caused:
            pool = select_good_images(
                val, outside, item.typical, tools, config.matched_images, context.seed
            )
            if tools.predict_labels:
                masks = (item.inside, item.typical)
                rivals, fitted = find_causes(
                    pool, *masks, dose_response, config.matched_images, config.false_discovery_rate
                )
            else:
                rivals, fitted = suspect_cause(pool, item.typical, config.matched_images)
        row = _build_explanation(val, item, tested, rivals, fitted, dose_response)
        unnamed = caused and row["cause"] is None
        rows.append(
            row | {"common": _describe_common_traits(val, item, context.seed) if unnamed else None}
        )
        tried = rivals if tools.predict_labels else []
        causes += [
            {"slice": item.name, **{k: vars(r)[k] for k in list(CAUSE_COLUMNS)[1:]}} for r in tried
        ]
    if found and not any(is_confirmed):
        context.add_note(
            f"{len(found)} slices were tested on held-out folds, and none was confirmed"
        )
    return {
        "explanations": pd.DataFrame(rows, columns=list(EXPLANATION_COLUMNS)).astype(
            EXPLANATION_COLUMNS
        ),
        "causes": pd.DataFrame(causes, columns=list(CAUSE_COLUMNS)).astype(CAUSE_COLUMNS),
    }
