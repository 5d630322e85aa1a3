"""Cross-fitting: each half of the folds chooses a rule for a slice, which is applied to the other.

Slices come from one family of candidates, tested on all of validation. The best of many flatters
itself, so that its size is not estimated on the images that chose it. A half chooses among the
candidates with mostly the same images. There are two halves only: with five folds each rule is
chosen on most of the images that the other rules are applied to (pre-validation, Hoefling and
Tibshirani 2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import Mask
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.rule_application import AppliedRule

SLICE_DTYPES = {
    "slice": "str",
    "rank": "int64",
    "fold": "int64",
    "source": "str",
    "rule": "str",
    "remedy": "str",
    "strength": "float64",
    "recoverable": "float64",
    "family_p": "float64",
    "is_frozen": "bool",
}
MEMBERSHIP_DTYPES = {"image_id": "str", "slice": "str", "fold": "int64", "score": "float64"}


@dataclass(frozen=True)
class ProposedSlice:
    """A slice of the family, with the rule that each half of the folds chose for it.

    Attributes:
        family_p: family-wise p-value of the slice over all of validation.
        rule_for_half: the rule that is applied to each half (0 or 1), chosen on the other one.
        frozen_half: the half whose rule is in force outside the validation images: the rule that
            admits most nearly the images of the slice.
        recoverable_errors: sum of the loss in excess of the compared images, each image under the
            rule that it did not help to choose.
    """

    family_p: float
    rule_for_half: dict[int, AppliedRule]
    frozen_half: int
    recoverable_errors: float


def compute_overlap(first_mask: Mask, second_mask: Mask) -> float:
    """Return the images in both masks as a share of those in either (Jaccard 1901), 0 if none is.

    Both masks are bool [rows].
    """
    return float((first_mask & second_mask).sum() / max((first_mask | second_mask).sum(), 1))


def assign_halves(folds: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the half of each row, 0 or 1: every other fold."""
    return np.asarray(np.unique(folds, return_inverse=True)[1].reshape(-1) % 2)


def _build_rule_row(item: ProposedSlice, half: int, interventions: pd.DataFrame) -> dict[str, Any]:
    applied = item.rule_for_half[half]
    remedy = None
    strength = np.nan
    if applied.chosen_intervention is not None:
        intervention = interventions.iloc[applied.chosen_intervention]
        remedy = str(intervention["remedy"])
        strength = float(intervention["strength"])
    return {
        "source": applied.rule.source,
        "rule": applied.rule.dump_json(),
        "remedy": remedy,
        "strength": strength,
        "recoverable": item.recoverable_errors,
        "family_p": item.family_p,
        "is_frozen": half == item.frozen_half,
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
            half = half_by_fold[fold]
            applied = item.rule_for_half[half]
            key = {"slice": name, "rank": rank, "fold": fold}
            rules.append(key | _build_rule_row(item, half, interventions))
            for row in np.flatnonzero(applied.mask & (val.folds == fold)):
                score = float(applied.typicality[row])
                members.append((image_ids[row], name, fold, score))
    return (
        pd.DataFrame(rules, columns=list(SLICE_DTYPES)).astype(SLICE_DTYPES),
        pd.DataFrame(members, columns=list(MEMBERSHIP_DTYPES)).astype(MEMBERSHIP_DTYPES),
    )
