"""Treatments that are refused since they make one class another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import iterate_rows
from pipeline.learning.training.holdout_split import find_class_indices
from pipeline.remedies import list_interventions
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.slices.prescription.label_safety import (
    LabelSafetyInputs,
    find_label_changes,
    list_label_changing_remedies,
    sample_each_class,
)


def find_refused_treatments(
    images: pd.DataFrame,
    is_usable: NDArray[np.bool_],
    explanations: pd.DataFrame,
    tools: InterventionTools,
    *,
    class_names: list[str],
    images_per_class: int,
    min_share: float,
    seed: int,
) -> list[dict[str, Any]]:
    """Return the transforms that make one class another, at strengths of the probe and the plan.

    Args:
        images: the artifact of that name.
        is_usable: bool [images], training images whose labels are not in doubt.
        explanations: the confirmed slices with their fitted treatments.
        tools: interventions and the model.
        class_names: all classes.
        images_per_class: images of each class that this is tested on.
        min_share: smallest share of a class's images at which its label counts as changed.
        seed: seed of the sample.

    Returns:
        Remedy, strength, `from`, `to`, share, n and groups of each change.
    """
    assert tools.predict_labels is not None
    labels = find_class_indices(images, class_names)
    groups = images["group"].to_numpy(dtype=str)
    usable_rows = np.flatnonzero(is_usable & (labels >= 0))
    rows = sample_each_class(labels, groups, usable_rows, images_per_class, seed)
    inputs = LabelSafetyInputs(
        np.asarray(tools.pixels[rows]),
        labels[rows],
        groups[rows],
        class_names,
        tools.apply_remedy,
        tools.predict_labels,
    )
    return find_label_changes(inputs, list_checked_strengths(explanations), min_share)


def list_checked_strengths(explanations: pd.DataFrame) -> dict[str, list[float]]:
    """Return the strengths of the probe and of the fitted treatments, by remedy, ascending."""
    strengths: dict[str, set[float]] = {remedy: set() for remedy in list_label_changing_remedies()}
    for remedy, strength in list_interventions():
        if remedy in strengths:
            strengths[remedy].add(strength)
    for item in iterate_rows(explanations):
        if item.fitted_remedy in strengths:
            strengths[item.fitted_remedy] |= {float(item.fitted_low), float(item.fitted_high)}
    return {remedy: sorted(values) for remedy, values in strengths.items()}
