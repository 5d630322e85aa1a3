"""What rules are proposed from, and the score of a proposed rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import Mask, Rule
from pipeline.slices.finder_constants import CONSTANTS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ProposalEvidence:
    """The validation images of the proposing folds. All arrays have their rows.

    Attributes:
        frame: `image_id`, `label`, `group`, then every column that a rule may test.
        is_misclassified: bool [n].
        repair_residuals: float64 [n, interventions], see `compute_matched_residuals`; 0 for images
            that were not probed.
        repair_gains: float64 [n, interventions], weighted change of correctness; 0 for images that
            were not probed.
        prototype_ids: image ids of the prototypes.
        prototype_distances: float32 [prototypes, n], cosine distance in frozen features.
        responsibilities: float64 [n, components], see `fit_error_mixture`.
        min_images: fewest images of a rule.
        seed: seed of k-means.
        prediction_costs: float64 [n], cost of each prediction as a share of the worst error; None
            if all errors cost the same.
    """

    frame: pd.DataFrame
    is_misclassified: Mask
    repair_residuals: Floats
    repair_gains: Floats
    prototype_ids: tuple[str, ...]
    prototype_distances: NDArray[np.float32]
    responsibilities: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    min_images: int = 20
    seed: int = 0
    prediction_costs: Floats | None = None

    @property
    def error_losses(self) -> Floats:
        """Return float64 [n]: the cost of each prediction, 1 for an error if all cost the same."""
        if self.prediction_costs is None:
            return self.is_misclassified.astype(float)
        return self.prediction_costs

    @cached_property
    def class_codes(self) -> NDArray[np.intp]:
        """Return intp [n]: a code of each image's class."""
        return np.asarray(pd.factorize(self.frame["label"])[0])

    @cached_property
    def group_codes(self) -> NDArray[np.intp]:
        """Return intp [n]: a code of each image's group."""
        return np.asarray(pd.factorize(self.frame["group"])[0])

    @cached_property
    def excess_losses(self) -> Floats:
        """Return float64 [n]: each image's loss less the mean loss of its class."""
        return compute_class_excess(self.error_losses, self.class_codes)


@dataclass(frozen=True)
class ProposedRule:
    """A rule with its score on the proposing folds.

    Attributes:
        rule: the rule.
        mask: bool [n], the images that it admits.
        recoverable_errors: sum, over these images, of the loss less the mean loss of the class, or
            of what an intervention repairs.
        score: recoverable errors less standard errors by group, weighted by the kind of rule.
    """

    rule: Rule
    mask: Mask
    recoverable_errors: float
    score: float

    @property
    def density(self) -> float:
        """Return the recoverable errors per image."""
        return self.recoverable_errors / max(int(self.mask.sum()), 1)


def compute_class_excess(errors: Mask | Floats, class_codes: NDArray[np.intp]) -> Floats:
    """Return float64 [n]: each image's error less the mean error of its class."""
    sums = np.bincount(class_codes, errors.astype(float))
    counts = np.bincount(class_codes)
    return np.asarray(errors - (sums / np.maximum(counts, 1))[class_codes])


def sum_target_by_mask(
    masks: NDArray[np.bool_], target: Floats, group_codes: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Return the sum of the target in each mask and its standard error by group.

    Args:
        masks: bool [masks, n].
        target: float64 [n].
        group_codes: intp [n].

    Returns:
        Two float64 arrays [masks].
    """
    sums = np.empty(len(masks))
    standard_errors = np.empty(len(masks))
    for index, mask in enumerate(masks):
        rows = np.flatnonzero(mask)
        group_sums = np.bincount(group_codes[rows], target[rows])
        sums[index] = group_sums.sum()
        standard_errors[index] = np.sqrt((group_sums**2).sum())
    return sums, standard_errors


def score_rule(
    evidence: ProposalEvidence, rule: Rule, mask: Mask, repair_target: Floats | None = None
) -> ProposedRule:
    """Return the rule with its score against all errors, or against what an intervention repairs.

    The best of many interventions flatters, so its score loses two standard errors instead of one.

    Args:
        evidence: the images of the proposing folds.
        rule: the rule.
        mask: bool [n], the images that it admits.
        repair_target: float64 [n], one column of `repair_residuals`; None for all errors.
    """
    target = evidence.excess_losses if repair_target is None else repair_target
    sums, standard_errors = sum_target_by_mask(mask[None], target, evidence.group_codes)
    recoverable, standard_error = float(sums[0]), float(standard_errors[0])
    error_factor = 1.0 if repair_target is None else CONSTANTS.candidates.repair_error_factor
    weight = 1.0 if rule.label is None else CONSTANTS.candidates.class_rule_weight
    return ProposedRule(
        rule, mask, recoverable, weight * (recoverable - standard_error * error_factor)
    )
