"""Crossing over: rules proposed on one half of the folds are applied to the other half, and the reverse.

Two halves and no more: a rule's test on the half it never saw is then valid by itself. With five folds each rule learns
from most of what the other rules are tested on, and their pooled test alarms where nothing is there (pre-validation,
Hoefling and Tibshirani 2008; measured with outcomes permuted on real images: 6 of 12 draws).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from pipeline.contracts import ProgressTracker, iterate_silently
from pipeline.domain.rules import Mask, measure_cosine_distances
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.error_mixture import fit_error_mixture
from pipeline.slices.candidates.rule_proposal import ProposalEvidence, ProposedRule, propose_rules
from pipeline.slices.candidates.tree_summary import summarize_with_tree
from pipeline.slices.candidates.typicality import compute_coordinates, score_typicality
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
    signature_clusters: int = 6
    prototypes: int = 6
    min_images: int = 20
    min_overlap: float = 0.5


@dataclass(frozen=True)
class AppliedRule:
    """A proposal laid over all of val. mask: bool [rows]; chosen: the intervention that helps most, or None; score:
    float [rows], higher is more typical, -inf where the rule does not admit the image."""

    proposal: ProposedRule
    mask: Mask
    chosen_intervention: int | None
    typicality: Floats


@dataclass
class ProposedSlice:
    """Rules of one half or of both that admit mostly the same images."""

    label: str | None
    mask: Mask
    rules_by_half: dict[int, AppliedRule]

    @property
    def score(self) -> float:
        """Recoverable errors less one standard error, summed over the halves that propose it."""
        return sum(a.proposal.score for a in self.rules_by_half.values())


def _select_prototypes(
    val: ValidationSet, proposal_mask: Mask, max_prototypes: int, seed: int
) -> list[int]:
    """Rows of the failing images nearest to the centers of k-means on frozen features of the failures."""
    rows = np.flatnonzero(proposal_mask & val.is_misclassified)
    k = min(max_prototypes, len(rows) // 10)
    if k < 1:
        return []
    features = val.embeddings[rows]
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
    centers = KMeans(k, n_init=2, random_state=seed).fit(unit).cluster_centers_
    return sorted({int(rows[np.argmin(((unit - c) ** 2).sum(1))]) for c in centers})


def _compute_mixture(
    val: ValidationSet, feature_space: Floats, proposal_mask: Mask, seed: int
) -> Floats:
    """What the error-aware mixture says of the proposing rows, [rows, components]."""
    if not val.logits.shape[1]:
        return np.zeros((int(proposal_mask.sum()), 0))
    probabilities = val.probabilities[proposal_mask]
    return fit_error_mixture(
        feature_space[proposal_mask],
        val.labels[proposal_mask],
        probabilities,
        val.is_misclassified[proposal_mask],
        seed,
    )


def apply_proposed_rules(
    val: ValidationSet, proposal_mask: Mask, settings: FinderSettings, seed: int
) -> list[AppliedRule]:
    """Proposals from the rows `proposing` (bool [rows]), each laid over all of val with its chosen intervention."""
    seeds = _select_prototypes(val, proposal_mask, settings.prototypes, seed)
    ids = [str(val.frame["image_id"].iloc[row]) for row in seeds]
    away = measure_cosine_distances(val.embeddings, seeds)
    near = dict(zip(ids, away, strict=True))
    part = np.flatnonzero(proposal_mask[val.probed_rows])
    repairs, gains = np.zeros((2, len(val.frame), val.probe_results.after.shape[1]))
    repairs[val.probed_rows[part]] = compute_matched_residuals(val.probe_results.part(part))
    gains[val.probed_rows] = val.probe_results.change * val.probe_results.weights[:, None]
    space = compute_coordinates(val.frame, val.embeddings, proposal_mask)
    evidence = ProposalEvidence(
        val.frame[proposal_mask].reset_index(drop=True),
        val.is_misclassified[proposal_mask],
        val.row_signatures[proposal_mask],
        repairs[proposal_mask],
        gains[proposal_mask],
        tuple(ids),
        away[:, proposal_mask],
        _compute_mixture(val, space, proposal_mask, seed),
        settings.min_images,
        seed,
        None if val.error_costs is None else val.error_losses[proposal_mask],
    )
    found = []
    for proposal in propose_rules(
        evidence,
        max_rules=settings.max_slices,
        max_clusters=settings.signature_clusters,
        fixed_proposals=propose_unmarked_rules(evidence),
    ):
        mask = proposal.rule.compute_mask(val.frame, near)
        if proposal.rule.has_similarity_condition:
            told = summarize_with_tree(val.frame, mask, proposal_mask)
            proposal = replace(proposal, rule=replace(proposal.rule, numbers=told))
        label = proposal.rule.label
        alike = (
            part
            if label is None
            else part[(val.frame["label"] == label).to_numpy()[val.probed_rows[part]]]
        )
        chosen = choose_intervention(val.probe_results.part(alike), mask[val.probed_rows[alike]])
        found.append(
            AppliedRule(
                proposal,
                mask,
                chosen,
                score_typicality(space, mask, val.is_misclassified, proposal_mask),
            )
        )
    return found


def compute_overlap(first_mask: Mask, second_mask: Mask) -> float:
    """Images that both admit, as a share of those that either does (Jaccard 1901); bool [rows] each."""
    return float((first_mask & second_mask).sum() / max((first_mask | second_mask).sum(), 1))


def join_half_rules(
    rules_by_half: dict[int, list[AppliedRule]], min_overlap: float
) -> list[ProposedSlice]:
    """Join rules of the halves that admit mostly the same images, which no outcome can sway; none is left out, since
    choosing by what both halves say would let a half choose what is tested on it."""
    every = [(half, found) for half, rules in rules_by_half.items() for found in rules]
    slices: list[ProposedSlice] = []
    for half, found in sorted(every, key=lambda pair: -pair[1].proposal.score):
        label, mask = found.proposal.rule.label, found.mask
        overlaps = [
            compute_overlap(mask, s.mask)
            if s.label == label and half not in s.rules_by_half
            else 0.0
            for s in slices
        ]
        best = int(np.argmax(overlaps)) if overlaps else -1
        if best >= 0 and overlaps[best] >= min_overlap:
            slices[best].rules_by_half[half] = found
        else:
            slices.append(ProposedSlice(label, mask, {half: found}))
    return sorted(slices, key=lambda s: -s.score)


def assign_halves(folds: NDArray[np.intp]) -> NDArray[np.intp]:
    """Half 0 or 1 of each row: every other fold."""
    return np.asarray(np.unique(folds, return_inverse=True)[1].reshape(-1) % 2)


def build_slice_tables(
    val: ValidationSet, slices: list[ProposedSlice], interventions: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The artifacts `slices` and `membership`; remedies: the rows of `dose_response`."""
    half, rules, members = assign_halves(val.folds), [], []
    for rank, found in enumerate(slices, 1):
        name = f"s{rank}"
        by_fold = {
            int(f): found.rules_by_half[int(h)]
            for f, h in zip(val.folds, half, strict=True)
            if int(h) in found.rules_by_half
        }
        for fold, applied in sorted(by_fold.items()):
            remedy = (
                interventions.iloc[applied.chosen_intervention]
                if applied.chosen_intervention is not None
                else None
            )
            rules.append(
                {
                    "slice": name,
                    "rank": rank,
                    "fold": fold,
                    "source": applied.proposal.rule.source,
                    "rule": applied.proposal.rule.dump_json(),
                    "remedy": None if remedy is None else str(remedy["remedy"]),
                    "strength": np.nan if remedy is None else float(remedy["strength"]),
                    "recoverable": applied.proposal.recoverable_errors,
                }
            )
            rows = np.flatnonzero(applied.mask & (val.folds == fold))
            ids = val.frame["image_id"].iloc[rows].to_list()
            members += [
                {"image_id": i, "slice": name, "fold": fold, "score": float(s)}
                for i, s in zip(ids, applied.typicality[rows], strict=True)
            ]
    columns = {
        "slice": "str",
        "rank": "int64",
        "fold": "int64",
        "source": "str",
        "rule": "str",
        "remedy": "str",
        "strength": "float64",
        "recoverable": "float64",
    }
    membership = {"image_id": "str", "slice": "str", "fold": "int64", "score": "float64"}
    return (
        pd.DataFrame(rules, columns=list(columns)).astype(columns),
        pd.DataFrame(members, columns=list(membership)).astype(membership),
    )


def cross_fit_slices(
    val: ValidationSet,
    settings: FinderSettings,
    seed: int,
    track_progress: ProgressTracker = iterate_silently,
) -> list[ProposedSlice]:
    """The slices, best first: each a rule of its own for each half of the folds that it was proposed for."""
    half = assign_halves(val.folds)
    if len(np.unique(half)) < 2:
        return []
    found = {
        h: apply_proposed_rules(val, half != h, settings, seed + h)
        for h in track_progress((0, 1), total=2, unit="halves")
    }
    return join_half_rules(found, settings.min_overlap)
