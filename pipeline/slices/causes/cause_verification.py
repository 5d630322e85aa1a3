"""The checks that keep a name from a slice that no transform explains (rules of evidence, 7)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.slices.causes.cause_naming import CauseCandidate
from pipeline.slices.causes.good_images import GoodImages
from pipeline.slices.causes.repair_test import RepairsByRemedy
from pipeline.slices.causes.treatment_matching import TreatmentMatcher
from pipeline.slices.finder_constants import CONSTANTS


def verify_candidates(
    matcher: TreatmentMatcher,
    candidates: list[CauseCandidate],
    other_repairs: RepairsByRemedy,
    significance_level: float,
) -> list[CauseCandidate]:
    """Return the candidates, those that could be named with their rivals and alignment.

    Args:
        matcher: the slice and the good images.
        candidates: the possible causes, with their repairs.
        other_repairs: the result of `evaluate_other_remedies` for the slice's failures.
        significance_level: level of the repair test.
    """
    verified = []
    for candidate in candidates:
        if candidate.can_be_named(significance_level):
            rival_share = find_rival_share(matcher.good_images, candidate, other_repairs)
            alignment = matcher.measure_alignment(candidate)
            candidate = replace(candidate, rival_share=rival_share, alignment=alignment)
        verified.append(candidate)
    return verified


def find_rival_share(
    good_images: GoodImages, candidate: CauseCandidate, other_repairs: RepairsByRemedy
) -> float | None:
    """Return the share of the failures that a better remedy repairs which is not the same cause.

    Another remedy is the same cause if it also undoes the candidate's damage to good images, by
    `CauseConstants.min_mutual_repair_share` of what the inverse regains.

    Args:
        good_images: images that are treated.
        candidate: the possible cause, with its repair.
        other_repairs: the result of `evaluate_other_remedies` for the slice's failures.

    Returns:
        None if no other remedy repairs more, or all that do are the same cause.
    """
    tools, strength = good_images.tools, candidate.strength
    if candidate.repair_share is None or tools.predict_labels is None:
        return None
    shares = {key: float(repaired.mean()) for key, repaired in other_repairs.items()}
    rivals = [key for key in shares if key[0] != candidate.remedy]
    rivals = [key for key in rivals if shares[key] > candidate.repair_share]
    if not rivals:
        return None
    treated = good_images.apply_remedy(candidate.remedy, strength, strength)
    is_broken = np.asarray(tools.predict_labels(treated) != good_images.labels)
    needed = CONSTANTS.causes.min_mutual_repair_share * candidate.regained_share
    for remedy, level in sorted(rivals, key=lambda key: -shares[key]):
        again = tools.apply_remedy(remedy, treated[is_broken], level, level, good_images.seed)
        regained = np.mean(tools.predict_labels(again) == good_images.labels[is_broken])
        if not regained >= needed:
            return shares[remedy, level]
    return None
