"""Rules proposed on some folds, applied to the whole validation set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from pipeline.domain.rules import Mask, Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.error_mixture import fit_error_mixture
from pipeline.slices.candidates.proposal_evidence import ProposalEvidence, ProposedRule
from pipeline.slices.candidates.rule_admission import measure_cosine_distances
from pipeline.slices.candidates.rule_proposal import propose_rules
from pipeline.slices.candidates.typicality import compute_coordinates, score_typicality
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.slices.shortcuts.class_marks import propose_unmarked_rules
from pipeline.slices.testing.slice_confirmation import (
    choose_intervention,
    compute_matched_residuals,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FinderSettings:
    """The finder's settings, see `pipeline.stages.cluster.Config`."""

    max_slices: int = 6
    prototypes: int = 6
    min_images: int = 20
    min_overlap: float = 0.5


@dataclass(frozen=True)
class AppliedRule:
    """A proposal applied to the whole validation set.

    Attributes:
        proposal: the rule with its score on the proposing folds.
        mask: bool [rows], the images that it admits.
        chosen_intervention: index of the intervention that helps them most, or None.
        typicality: float64 [rows], higher is more typical; -inf for images that the rule does not
            admit.
    """

    proposal: ProposedRule
    mask: Mask
    chosen_intervention: int | None
    typicality: Floats


def _select_prototypes(
    val: ValidationSet, proposal_mask: Mask, max_prototypes: int, seed: int
) -> list[int]:
    """Return the rows of failing images nearest to the centers of k-means on frozen features."""
    constants = CONSTANTS.candidates
    rows = np.flatnonzero(proposal_mask & val.is_misclassified)
    k = min(max_prototypes, len(rows) // constants.min_target_failures)
    if k < 1:
        return []
    features = val.embeddings[rows]
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
    kmeans = KMeans(k, n_init=constants.prototype_restarts, random_state=seed).fit(unit)
    nearest = set()
    for center in kmeans.cluster_centers_:
        nearest.add(int(rows[np.argmin(((unit - center) ** 2).sum(1))]))
    return sorted(nearest)


def _compute_responsibilities(
    val: ValidationSet, feature_space: Floats, proposal_mask: Mask, seed: int
) -> Floats:
    """Return float64 [proposing rows, components]: responsibilities of the error-aware mixture."""
    if not val.logits.shape[1]:
        return np.zeros((int(proposal_mask.sum()), 0))
    return fit_error_mixture(
        feature_space[proposal_mask],
        val.labels[proposal_mask],
        val.probabilities[proposal_mask],
        val.is_misclassified[proposal_mask],
        seed,
    )


def _build_evidence(
    val: ValidationSet,
    proposal_mask: Mask,
    feature_space: Floats,
    reference_distances: dict[str, NDArray[np.float32]],
    settings: FinderSettings,
    seed: int,
) -> ProposalEvidence:
    intervention_count = val.probe_results.after.shape[1]
    proposing_probed = np.flatnonzero(proposal_mask[val.probed_rows])
    residuals = np.zeros((len(val.frame), intervention_count))
    residuals[val.probed_rows[proposing_probed]] = compute_matched_residuals(
        val.probe_results.select_rows(proposing_probed)
    )
    gains = np.zeros((len(val.frame), intervention_count))
    gains[val.probed_rows] = val.probe_results.change * val.probe_results.weights[:, None]
    distances = np.zeros((len(reference_distances), len(val.frame)), np.float32)
    for row, distance in enumerate(reference_distances.values()):
        distances[row] = distance
    return ProposalEvidence(
        frame=val.frame[proposal_mask].reset_index(drop=True),
        is_misclassified=val.is_misclassified[proposal_mask],
        repair_residuals=residuals[proposal_mask],
        repair_gains=gains[proposal_mask],
        prototype_ids=tuple(reference_distances),
        prototype_distances=distances[:, proposal_mask],
        responsibilities=_compute_responsibilities(val, feature_space, proposal_mask, seed),
        min_images=settings.min_images,
        seed=seed,
        prediction_costs=None if val.error_costs is None else val.error_losses[proposal_mask],
    )


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


def apply_proposed_rules(
    val: ValidationSet, proposal_mask: Mask, settings: FinderSettings, seed: int
) -> list[AppliedRule]:
    """Return the proposals of some rows, each applied to the whole validation set.

    Args:
        val: the validation set.
        proposal_mask: bool [rows], the proposing rows. No outcome of another row is used.
        settings: the finder's settings.
        seed: seed of all clusterings.
    """
    prototypes = _select_prototypes(val, proposal_mask, settings.prototypes, seed)
    image_ids = val.frame["image_id"].iloc[prototypes].astype(str)
    distances = measure_cosine_distances(val.embeddings, prototypes)
    reference_distances = dict(zip(image_ids, distances, strict=True))
    feature_space = compute_coordinates(val.frame, val.embeddings, proposal_mask)
    evidence = _build_evidence(
        val, proposal_mask, feature_space, reference_distances, settings, seed
    )
    applied = []
    for proposal in propose_rules(
        evidence, max_rules=settings.max_slices, fixed_proposals=propose_unmarked_rules(evidence)
    ):
        mask = proposal.rule.compute_mask(val.frame, reference_distances)
        intervention = _choose_rule_intervention(val, proposal_mask, proposal.rule, mask)
        typicality = score_typicality(feature_space, mask, val.is_misclassified, proposal_mask)
        applied.append(AppliedRule(proposal, mask, intervention, typicality))
    return applied
