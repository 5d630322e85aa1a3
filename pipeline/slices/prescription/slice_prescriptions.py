"""Prescriptions for all confirmed slices together: treatments, shares of the views, corrections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.domain.prescriptions import PrescribedCorrection, PrescribedTreatment, Prescription
from pipeline.domain.rules import iterate_rows
from pipeline.domain.statuses import PrescriptionKind
from pipeline.domain.validation_set import ValidationSet
from pipeline.remedies import describe_intervention, find_training_remedy
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.slices.prescription.strength_fitting import FIT_COLUMNS, fit_remedy
from pipeline.slices.prescription.strength_ranges import list_strength_ranges
from pipeline.slices.prescription.treatment_plan import (
    PLAN_COLUMNS,
    PrescriptionContext,
    SimulatorUse,
)

MIN_TOTAL_WEIGHT = 1e-9
"""Least sum of the slices' weights, so that slices without any errors do not divide by zero."""


@dataclass(frozen=True)
class SlicePrescriptions:
    """The remedies of the confirmed slices.

    Attributes:
        plan: rows of the artifact `plan`.
        corrections: corrections at prediction time, one for each slice with a cause.
        prescriptions: the remedy of each slice.
    """

    plan: pd.DataFrame
    corrections: list[dict[str, Any]]
    prescriptions: list[Prescription]


def fit_treatments(
    val: ValidationSet,
    treatable_images: Mapping[str, pd.DataFrame],
    tools: InterventionTools,
    *,
    explanations: pd.DataFrame,
    causes: pd.DataFrame,
    membership: pd.DataFrame,
) -> pd.DataFrame:
    """Return the explanations with `FIT_COLUMNS`: the training treatment of each slice.

    Args:
        val: the validation set.
        treatable_images: by slice, the rows of `images` that may be treated.
        tools: interventions and attributes.
        explanations: the confirmed slices; those without a cause get no treatment.
        causes: the artifact of that name, as the next argument.
        membership: images of each slice.
    """
    rows: list[tuple[str | None, float, float, float, float]] = []
    for explanation in iterate_rows(explanations):
        if pd.isna(explanation.cause):
            rows.append((None, np.nan, np.nan, np.nan, np.nan))
            continue
        is_member = val.find_members(explanation.slice, membership)
        strength_ranges = list_strength_ranges(explanation, causes, find_training_remedy)
        images = treatable_images[explanation.slice]
        rows.append(fit_remedy(val, is_member, images, strength_ranges, tools))
    fits = pd.DataFrame(rows, columns=FIT_COLUMNS, index=explanations.index)
    return explanations.assign(**fits)


def prescribe_slices(
    context: PrescriptionContext,
    explanations: pd.DataFrame,
    membership: pd.DataFrame,
    *,
    remedy_share: float,
    max_repeats: int,
    simulator_use: SimulatorUse,
) -> SlicePrescriptions:
    """Return the plan, the corrections and the prescriptions of the confirmed slices.

    Slices with a cause share the treated views in proportion to the cost of their errors: a small
    slice inside a large one does not take half of its share.

    Args:
        context: the tables that prescriptions are made from.
        explanations: the confirmed slices with `FIT_COLUMNS`.
        membership: images of each slice.
        remedy_share: share of a training image's views that are treated, over all slices.
        max_repeats: largest factor by which images of a slice without a cause are repeated.
        simulator_use: how far simulated images replace treated ones.
    """
    weights = {}
    for explanation in iterate_rows(explanations[explanations["cause"].notna()]):
        weights[explanation.slice] = context.val.weigh_slice(
            explanation.slice, explanation.n, membership
        )
    total_weight = max(sum(weights.values()), MIN_TOTAL_WEIGHT)
    plans = [pd.DataFrame(columns=list(PLAN_COLUMNS))]
    corrections = []
    prescriptions = []
    for explanation in iterate_rows(explanations):
        correction = None
        if pd.notna(explanation.cause):
            probability = remedy_share * weights[explanation.slice] / total_weight
            plan = context.build_plan(explanation, probability, simulator_use)
            correction = _choose_correction(context, explanation, membership)
        else:
            plan = context.plan_repeats(explanation, max_repeats)
        if correction:
            corrections.append(correction)
        if len(plan):
            plans.append(plan)
        prescriptions.append(build_prescription(explanation, plan, correction))
    plan = pd.concat(plans).reset_index(drop=True).astype(PLAN_COLUMNS)
    return SlicePrescriptions(plan, corrections, prescriptions)


def _choose_correction(
    context: PrescriptionContext, explanation: Any, membership: pd.DataFrame
) -> dict[str, Any] | None:
    """Return the correction of a slice, or None if its cause was tried on no image of it."""
    val = context.val
    is_member = val.find_members(explanation.slice, membership)
    is_of_cause = (context.interventions["remedy"] == explanation.cause).to_numpy()
    is_asked = val.probe_results.is_asked[is_member[val.probed_rows]]
    if not is_asked.size or not is_asked[:, is_of_cause].any():
        return None
    correction = context.choose_correction(explanation, is_member)
    words = describe_intervention(correction["remedy"], correction["strength"])
    return correction | {"words": words}


def build_prescription(
    explanation: Any, plan: pd.DataFrame, correction: dict[str, Any] | None
) -> Prescription:
    """Return the prescription of one slice.

    Args:
        explanation: row of `explanations` with the columns `FIT_COLUMNS`.
        plan: the slice's rows of the plan, with any index.
        correction: the correction at prediction time that was considered, if any.
    """
    image_count = int(plan["image_id"].nunique()) if len(plan) else 0
    kind = _choose_kind(explanation, plan)
    has_treated_images = kind == PrescriptionKind.AUGMENT and plan["simulator"].isna().any()
    fit_auc = None
    if has_treated_images and np.isfinite(explanation.fit_auc):
        fit_auc = float(explanation.fit_auc)
    helpful = None
    if correction and correction["helps"]:
        helpful = PrescribedCorrection(correction["remedy"], correction["strength"])
    treatments = tuple(_list_treatments(plan))
    return Prescription(
        explanation.slice, kind, image_count, treatments, fit_auc, helpful, image_count > 0
    )


def _choose_kind(explanation: Any, plan: pd.DataFrame) -> PrescriptionKind:
    if not len(plan):
        return PrescriptionKind.COLLECT
    if pd.notna(explanation.cause):
        return PrescriptionKind.AUGMENT
    if plan["remedy"].iloc[0] == "reweighting":
        return PrescriptionKind.REWEIGHT
    return PrescriptionKind.OVERSAMPLE


def _list_treatments(plan: pd.DataFrame) -> Iterator[PrescribedTreatment]:
    """Yield the parts of a slice's plan, by remedy and simulator."""
    if not len(plan):
        return
    by_treatment = plan.groupby(["remedy", "simulator"], sort=False, dropna=False)
    for (remedy, simulator), rows in by_treatment:
        ranges = rows[["strength_low", "strength_high"]].drop_duplicates().to_numpy()
        yield PrescribedTreatment(
            str(remedy),
            simulator if isinstance(simulator, str) else None,  # NaN without one
            len(rows),
            tuple((float(low), float(high)) for low, high in ranges),
            float(rows["tone_share"].max()),
        )


def build_prescription_records(
    prescriptions: Sequence[Prescription], plan: pd.DataFrame
) -> list[dict[str, Any]]:
    """Return the prescriptions as JSON; those that a search left out are not trained.

    Args:
        prescriptions: what was prescribed.
        plan: the plan that is trained.
    """
    trained = set(plan["slice"])
    return [
        replace(item, is_trained=item.slice in trained).build_record() for item in prescriptions
    ]
