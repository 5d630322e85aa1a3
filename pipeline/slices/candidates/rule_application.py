"""Rules applied to the whole validation set, with what the outcomes of some images add to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.rules import Mask, Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.typicality import score_typicality
from pipeline.slices.testing.slice_confirmation import choose_intervention

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AppliedRule:
    """A rule applied to the whole validation set.

    Attributes:
        rule: the rule.
        mask: bool [rows], the images that it admits.
        chosen_intervention: index of the intervention that helps them most, or None.
        typicality: float64 [rows], higher is more typical; -inf for images that the rule does not
            admit.
    """

    rule: Rule
    mask: Mask
    chosen_intervention: int | None
    typicality: Floats


def _choose_rule_intervention(
    val: ValidationSet, proposal_mask: Mask, rule: Rule, rule_mask: Mask
) -> int | None:
    """Return the intervention that helps most, chosen on the probed images of the proposing folds.

    A rule of one class is compared with images of that class only.
    """
    is_compared = proposal_mask[val.probed_rows]
    if rule.label is not None:
        is_compared &= (val.frame["label"] == rule.label).to_numpy()[val.probed_rows]
    probed = np.flatnonzero(is_compared)
    return choose_intervention(
        val.probe_results.select_rows(probed), rule_mask[val.probed_rows[probed]]
    )


def apply_rule(
    val: ValidationSet,
    rule: Rule,
    reference_distances: Mapping[str, NDArray[np.float32]],
    proposal_mask: Mask,
    feature_space: Floats,
) -> AppliedRule:
    """Return a rule applied to all images. Only outcomes of proposing images are used.

    Args:
        val: the validation set.
        rule: the rule.
        reference_distances: float32 [rows] of cosine distances, by id of each image that rules
            name.
        proposal_mask: bool [rows], the proposing images.
        feature_space: float64 [rows, coordinates], see `compute_coordinates`.
    """
    mask = rule.compute_mask(val.frame, reference_distances)
    intervention = _choose_rule_intervention(val, proposal_mask, rule, mask)
    typicality = score_typicality(feature_space, mask, val.is_misclassified, proposal_mask)
    return AppliedRule(rule, mask, intervention, typicality)
