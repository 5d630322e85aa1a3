"""Cross-fitting: rules proposed on one half of the folds are applied to the other, and vice versa.

There are two halves only. A rule's test on the half that it was not proposed on is then valid by
itself. With five folds each rule is proposed on most of the images that the other rules are tested
on, and their pooled test has false alarms (pre-validation, Hoefling and Tibshirani 2008). With
outcomes permuted on real images it had some in 6 of 12 draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import ProgressTracker, iterate_silently
from pipeline.domain.rules import Mask
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.rule_application import (
    AppliedRule,
    FinderSettings,
    apply_proposed_rules,
)

SLICE_DTYPES = {
    "slice": "str",
    "rank": "int64",
    "fold": "int64",
    "source": "str",
    "rule": "str",
    "remedy": "str",
    "strength": "float64",
    "recoverable": "float64",
}
MEMBERSHIP_DTYPES = {"image_id": "str", "slice": "str", "fold": "int64", "score": "float64"}


@dataclass
class ProposedSlice:
    """Rules of one half or of both that admit mostly the same images.

    Attributes:
        label: the class that the rules name, or None.
        mask: bool [rows], the images that the best rule admits.
        rule_for_half: the rule that is applied to each half (0 or 1), proposed on the other one.
    """

    label: str | None
    mask: Mask
    rule_for_half: dict[int, AppliedRule]

    @property
    def score(self) -> float:
        """Return the sum of the scores of its rules."""
        return sum(applied.proposal.score for applied in self.rule_for_half.values())


def compute_overlap(first_mask: Mask, second_mask: Mask) -> float:
    """Return the images in both masks as a share of those in either (Jaccard 1901), 0 if none is.

    Both masks are bool [rows].
    """
    return float((first_mask & second_mask).sum() / max((first_mask | second_mask).sum(), 1))


def _find_joinable_slice(
    slices: list[ProposedSlice], half: int, applied: AppliedRule, min_overlap: float
) -> ProposedSlice | None:
    """Return the slice with the largest overlap that has no rule of this half yet, or None."""
    best: ProposedSlice | None = None
    best_overlap = 0.0
    for candidate in slices:
        if candidate.label != applied.proposal.rule.label or half in candidate.rule_for_half:
            continue
        overlap = compute_overlap(applied.mask, candidate.mask)
        if overlap >= min_overlap and (best is None or overlap > best_overlap):
            best = candidate
            best_overlap = overlap
    return best


def join_half_rules(
    rule_for_half: dict[int, list[AppliedRule]], min_overlap: float
) -> list[ProposedSlice]:
    """Return slices, best first: rules of both halves that admit mostly the same images are one.

    Overlap depends on no outcome. No rule is left out: a choice by the scores of both halves would
    let a half choose its own tests.

    Args:
        rule_for_half: the rules that are applied to each half.
        min_overlap: least overlap of two rules of one slice.
    """
    pairs = []
    for half, rules in rule_for_half.items():
        for applied in rules:
            pairs.append((half, applied))
    slices: list[ProposedSlice] = []
    for half, applied in sorted(pairs, key=lambda pair: -pair[1].proposal.score):
        joinable = _find_joinable_slice(slices, half, applied, min_overlap)
        if joinable is None:
            label = applied.proposal.rule.label
            slices.append(ProposedSlice(label, applied.mask, {half: applied}))
        else:
            joinable.rule_for_half[half] = applied
    return sorted(slices, key=lambda item: -item.score)


def assign_halves(folds: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the half of each row, 0 or 1: every other fold."""
    return np.asarray(np.unique(folds, return_inverse=True)[1].reshape(-1) % 2)


def _build_rule_row(applied: AppliedRule, interventions: pd.DataFrame) -> dict[str, Any]:
    remedy = None
    strength = np.nan
    if applied.chosen_intervention is not None:
        intervention = interventions.iloc[applied.chosen_intervention]
        remedy = str(intervention["remedy"])
        strength = float(intervention["strength"])
    return {
        "source": applied.proposal.rule.source,
        "rule": applied.proposal.rule.dump_json(),
        "remedy": remedy,
        "strength": strength,
        "recoverable": applied.proposal.recoverable_errors,
    }


def build_slice_tables(
    val: ValidationSet, slices: list[ProposedSlice], interventions: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the artifacts `slices` and `membership`.

    Args:
        val: the validation set.
        slices: best first; they are named s1, s2 and so on.
        interventions: `remedy` and `strength` of each intervention, the rows of `dose_response`.
    """
    half_by_fold = dict(zip(val.folds.tolist(), assign_halves(val.folds).tolist(), strict=True))
    image_ids = val.frame["image_id"].to_numpy()
    rules = []
    members = []
    for rank, item in enumerate(slices, 1):
        name = f"s{rank}"
        for fold in sorted(half_by_fold):
            applied = item.rule_for_half.get(half_by_fold[fold])
            if applied is None:
                continue
            key = {"slice": name, "rank": rank, "fold": fold}
            rules.append(key | _build_rule_row(applied, interventions))
            for row in np.flatnonzero(applied.mask & (val.folds == fold)):
                score = float(applied.typicality[row])
                members.append((image_ids[row], name, fold, score))
    return (
        pd.DataFrame(rules, columns=list(SLICE_DTYPES)).astype(SLICE_DTYPES),
        pd.DataFrame(members, columns=list(MEMBERSHIP_DTYPES)).astype(MEMBERSHIP_DTYPES),
    )


def cross_fit_slices(
    val: ValidationSet,
    settings: FinderSettings,
    seed: int,
    track_progress: ProgressTracker = iterate_silently,
) -> list[ProposedSlice]:
    """Return the slices, best first, each with one rule for each half that it applies to.

    Args:
        val: the validation set.
        settings: the finder's settings.
        seed: seed of all clusterings.
        track_progress: progress over the halves.
    """
    halves = assign_halves(val.folds)
    if len(np.unique(halves)) < 2:
        return []
    rule_for_half = {}
    for half in track_progress((0, 1), total=2, unit="halves"):
        rule_for_half[half] = apply_proposed_rules(val, halves != half, settings, seed + half)
    return join_half_rules(rule_for_half, settings.min_overlap)
