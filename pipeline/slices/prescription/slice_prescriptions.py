"""Prescriptions for all confirmed slices together: treatments, shares of the views, corrections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.domain.rules import iterate_rows
from pipeline.domain.validation_set import ValidationSet
from pipeline.remedies import describe_intervention, find_training_remedy
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.slices.prescription.collection_requests import describe_prescription
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
    """What is done about the confirmed slices.

    Attributes:
        plan: rows of the artifact `plan`.
        corrections: corrections at prediction time, one for each slice with a cause.
        prescriptions: kind and action of each slice, in words.
    """

    plan: pd.DataFrame
    corrections: list[dict[str, Any]]
    prescriptions: list[dict[str, Any]]


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
    rows: list[tuple[str | None, float, float, float]] = []
    for explanation in iterate_rows(explanations):
        if pd.isna(explanation.cause):
            rows.append((None, np.nan, np.nan, np.nan))
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
        explanations: the confirmed slices with `FIT_COLUMNS` and `words`.
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
        prescriptions.append(describe_prescription(explanation, plan, correction))
    plan = pd.concat(plans).reset_index(drop=True).astype(PLAN_COLUMNS)
    return SlicePrescriptions(plan, corrections, prescriptions)


def _choose_correction(
    context: PrescriptionContext, explanation: Any, membership: pd.DataFrame
) -> dict[str, Any] | None:
    """Return the correction of a slice, or None if no image of it was probed."""
    is_member = context.val.find_members(explanation.slice, membership)
    if not is_member[context.val.probed_rows].any():
        return None
    correction = context.choose_correction(explanation, is_member)
    words = describe_intervention(correction["remedy"], correction["strength"])
    return correction | {"words": words}
