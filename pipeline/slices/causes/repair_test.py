"""The test whether the inverse transform of a cause repairs a slice.

Failures are selected, so any perturbation repairs some of them. The control is therefore the mean
repair of the same images by the other interventions, each remedy at the strength that repairs most
failures of the validation set. Images outside the slice are no control: if a cause makes most
failures of the validation set, the failures that a rule misses are outside and are repaired as
well. On images of one class darkened to a tenth the inverse repairs nine tenths, and nothing more
than equally uncertain images outside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline.domain.rules import iterate_rows
from pipeline.domain.validation_set import ValidationSet
from pipeline.remedies import load_remedy
from pipeline.slices.causes.cause_naming import CauseCandidate
from pipeline.slices.causes.repair_agreement import compute_shortfall_p_value
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.statistics.group_intervals import estimate_cluster_mean
from pipeline.statistics.multiple_testing import adjust_holm

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
RepairsByRemedy = dict[str, NDArray[np.bool_]]
"""For each remedy, whether each failing image is correct after it, bool [failing]."""


@dataclass(frozen=True)
class InterventionTools:
    """The functions of images that the finder uses.

    Attributes:
        pixels: the artifact `pixels`, uint8 [images, side, side, 3].
        apply_remedy: (remedy, pixels, low, high, seed) to treated pixels.
        measure_attributes: pixels [n, side, side, 3] to float [n, attributes].
        predict_labels: pixels to class indices [n]; None without a model.
        embed_images: pixels to frozen packaged features, float [n, features]; None to compare
            images by attributes only.
    """

    pixels: Pixels
    apply_remedy: Callable[[str, Pixels, float, float, int], Pixels]
    measure_attributes: Callable[[Pixels], Floats]
    predict_labels: Callable[[Pixels], NDArray[np.intp]] | None
    embed_images: Callable[[Pixels], NDArray[np.float32]] | None = None

    def describe_images(self, pixels: Pixels) -> Floats:
        """Return attributes and embeddings side by side, float [n, attributes + features]."""
        columns: list[NDArray[np.floating[Any]]] = [self.measure_attributes(pixels)]
        if self.embed_images:
            columns.append(self.embed_images(pixels))
        return np.hstack(columns)


@dataclass(frozen=True)
class RepairEvidence:
    """What the inverse of a possible cause does to the slice's failures.

    Attributes:
        repair_effect: the repaired share less the mean share of other interventions; None if it
            was not measured.
        repair_p_value: its one-sided p-value by group (t test); None without variance.
        shortfall_p_value: see `compute_shortfall_p_value`.
    """

    repair_effect: float | None = None
    repair_p_value: float | None = None
    shortfall_p_value: float | None = None


def find_nearest_intervention(
    interventions: pd.DataFrame, remedy: str, strength: float | None
) -> int | None:
    """Return the row of the probed intervention nearest to a strength.

    Args:
        interventions: columns `remedy` and `strength`, one row for each probed intervention.
        remedy: remedy of the intervention.
        strength: strength to approach; None if there is none.

    Returns:
        None without a strength, or if the remedy was not probed.
    """
    probed = interventions[interventions["remedy"] == remedy]["strength"]
    if strength is None or probed.empty:
        return None
    return int(probed.index[int(np.argmin(np.abs(probed.to_numpy() - strength)))])


def find_inverse_intervention(interventions: pd.DataFrame, candidate: CauseCandidate) -> int | None:
    """Return the row of the probed intervention that undoes a candidate, None without one."""
    inverse = load_remedy(candidate.remedy).invert_strength(candidate.strength)
    return find_nearest_intervention(interventions, candidate.remedy, inverse)


def evaluate_other_remedies(
    val: ValidationSet,
    failing_rows: NDArray[np.intp],
    tools: InterventionTools,
    interventions: pd.DataFrame,
    seed: int,
) -> RepairsByRemedy:
    """Return which failing images each remedy repairs at its most successful strength.

    Args:
        val: the validation set, with the results of the probe.
        failing_rows: rows of `val` whose images are misclassified, [failing].
        tools: how images are treated and predicted.
        interventions: columns `remedy` and `strength`, in the order of the probe.
        seed: seed of the transforms.

    Returns:
        bool [failing] by remedy; nothing without failing rows.
    """
    if not len(failing_rows):
        return {}
    share = pd.Series(_measure_repaired_shares(val), interventions.index)
    best_rows = share.groupby(interventions["remedy"], sort=False).idxmax()
    repairs = {}
    for best in iterate_rows(interventions.loc[best_rows]):
        intervention = (str(best.remedy), float(best.strength))
        repairs[intervention[0]] = _evaluate_repair(val, failing_rows, tools, intervention, seed)
    return repairs


def _measure_repaired_shares(val: ValidationSet) -> Floats:
    """Return the repaired share of the failing images, by intervention, where it was tried."""
    results = val.probe_results
    is_asked = results.is_asked[~results.correct]
    is_repaired = results.after[~results.correct] & is_asked
    return np.asarray(is_repaired.sum(0) / np.maximum(is_asked.sum(0), 1))


def _evaluate_repair(
    val: ValidationSet,
    failing_rows: NDArray[np.intp],
    tools: InterventionTools,
    intervention: tuple[str, float],
    seed: int,
) -> NDArray[np.bool_]:
    """Return whether each image is correct after an intervention; never without a model."""
    if tools.predict_labels is None:
        return np.zeros(len(failing_rows), bool)
    remedy, strength = intervention
    pixels = np.asarray(tools.pixels[val.image_rows[failing_rows]])
    treated = tools.apply_remedy(remedy, pixels, strength, strength, seed)
    return np.asarray(tools.predict_labels(treated) == val.labels[failing_rows])


def measure_repair(
    val: ValidationSet,
    failing_rows: NDArray[np.intp],
    candidate: CauseCandidate,
    tools: InterventionTools,
    other_repairs: RepairsByRemedy,
    seed: int,
) -> RepairEvidence:
    """Return how much more the exact inverse of a candidate repairs than other interventions.

    Args:
        val: the validation set.
        failing_rows: rows of the slice's misclassified images, [failing].
        candidate: the possible cause.
        tools: how images are treated and predicted.
        other_repairs: the result of `evaluate_other_remedies` for the same rows.
        seed: seed of the transforms.

    Returns:
        No evidence without an inverse or with too few groups.
    """
    inverse = load_remedy(candidate.remedy).invert_strength(candidate.strength)
    if inverse is None or not len(failing_rows):
        return RepairEvidence()
    controls = [after for name, after in other_repairs.items() if name != candidate.remedy]
    repaired = _evaluate_repair(val, failing_rows, tools, (candidate.remedy, inverse), seed)
    groups, control_shares = val.groups[failing_rows], np.mean(controls, axis=0)
    gain = estimate_cluster_mean(repaired - control_shares, groups)
    if not gain.groups >= CONSTANTS.causes.min_failing_groups:
        return RepairEvidence()
    shortfall_p_value = compute_shortfall_p_value(
        repaired, control_shares, groups, candidate.regained
    )
    if not gain.variance > 0:
        return RepairEvidence(shortfall_p_value=shortfall_p_value)
    p_value = float(stats.t.sf(gain.value / np.sqrt(gain.variance), gain.groups - 1))
    return RepairEvidence(gain.value, p_value, shortfall_p_value)


def add_repairs(
    val: ValidationSet,
    failing_rows: NDArray[np.intp],
    candidates: list[CauseCandidate],
    tools: InterventionTools,
    other_repairs: RepairsByRemedy,
    seed: int,
) -> list[CauseCandidate]:
    """Return the candidates with the repair of every one that reproduces and can be inverted.

    Args:
        val: the validation set.
        failing_rows: rows of the slice's misclassified images, [failing].
        candidates: the possible causes.
        tools: how images are treated and predicted.
        other_repairs: the result of `evaluate_other_remedies` for the same rows.
        seed: seed of the transforms.

    Returns:
        The candidates in their order; p-values are corrected over the tested ones (Holm 1979).
    """
    is_tested = [should_test_repair(candidate) for candidate in candidates]
    if not any(is_tested) or not len(failing_rows):
        return candidates
    evidence: list[RepairEvidence] = []
    for candidate, should_test in zip(candidates, is_tested, strict=True):
        measured = RepairEvidence()
        if should_test:
            measured = measure_repair(val, failing_rows, candidate, tools, other_repairs, seed)
        evidence.append(measured)
    adjusted = adjust_holm([item.repair_p_value for item in evidence])
    completed = []
    for candidate, item, p in zip(candidates, evidence, adjusted, strict=True):
        corrected = replace(item, repair_p_value=None if np.isnan(p) else float(p))
        completed.append(replace(candidate, **vars(corrected)))
    return completed


def should_test_repair(candidate: CauseCandidate) -> bool:
    """Return whether a candidate reproduces the failure and has an inverse that can repair it."""
    is_reproducing = candidate.reproduction_rate >= CONSTANTS.causes.min_accuracy_loss
    return candidate.is_invertible and is_reproducing
