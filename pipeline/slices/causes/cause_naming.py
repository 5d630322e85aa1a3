"""The choice of a slice's cause among candidates that were tested by intervention."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.domain.statuses import CauseRefusal
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.statistics.group_intervals import ConfidenceInterval

RankingKey = tuple[bool, bool, bool, bool, float, float, float, str]


@dataclass(frozen=True)
class CauseCandidate:
    """A possible cause of a slice: a treatment that makes good images resemble it.

    Attributes:
        remedy: plug-in that applies the treatment.
        cause_words: the plug-in's words for images of this strength, such as "too dark".
        strength: the strength that matches the slice best.
        attribute_distance: mean Cliff's delta of treated good images against the slice, 0 to 1.
        is_invertible: whether an inverse transform undoes it.
        auc: held-out two-sample AUC of treated good images against the slice; NaN if it was not
            measured, because the treatment reproduces no failure.
        is_nearer: False if its copies are no nearer to the slice than untreated good images, see
            `TreatmentMatcher.is_nearer`.
        reproduction_rate: share of good images that the treatment breaks.
        confusion_agreement: agreement of their confusions with the slice's, 0 to 1.
        repair_effect: share of the slice's failures that the inverse transform repairs, less the
            mean share of other interventions; None without an inverse.
        repair_p_value: its one-sided p-value by group; None if it cannot be tested.
        regained: share of the good images broken by the treatment that the inverse repairs, by
            group; None if it was not measured.
        shortfall_p_value: p-value of the hypothesis that the cause made most failures, as far as
            repairs show; None if it cannot be tested.
        attributed_share: share of the slice's failures that are attributed to the treatment; None
            if no attribution was needed.
        attribution_lead: lower bound of its lead over every other treatment, as a share.
        pair_share: share that is attributed to it and another treatment together, if the two cannot
            be separated; 0 otherwise.
        is_equivalent: whether it is the same cause as the named one.
        is_named: whether the slice is reported under this cause.
        is_inverse_confirmed: whether its inverse transform significantly repairs the slice.
        refusal: why it cannot be named; None if it can or was not ranked.
        is_suspected: whether it was named from attributes only, without a model to probe.
    """

    remedy: str
    cause_words: str
    strength: float
    attribute_distance: float
    is_invertible: bool
    auc: float = 1.0
    reproduction_rate: float = 0.0
    confusion_agreement: float = 0.0
    repair_effect: float | None = None
    repair_p_value: float | None = None
    regained: ConfidenceInterval | None = None
    shortfall_p_value: float | None = None
    attributed_share: float | None = None
    attribution_lead: float | None = None
    pair_share: float = 0.0
    is_nearer: bool = True
    is_equivalent: bool = False
    is_named: bool = False
    is_inverse_confirmed: bool = False
    is_suspected: bool = False
    refusal: CauseRefusal | None = None

    @property
    def regained_share(self) -> float | None:
        """Return the share of `regained`; None if it was not measured."""
        return None if self.regained is None else self.regained.value

    def can_be_named(self, significance_level: float) -> bool:
        """Return whether the evidence suffices to name the cause (rules of evidence, 7)."""
        return self.find_refusal(significance_level) is None

    def find_refusal(self, significance_level: float) -> CauseRefusal | None:
        """Return why the cause cannot be named; None if the evidence suffices.

        The treatment must reproduce the failure, and repairs must not refute that it made most
        failures. A significant repair by its inverse then suffices, if its copies are not further
        from the slice than untreated images. Otherwise its confusions must agree with the slice's,
        and either its copies are nearer to the slice than untreated images, indistinguishable from
        it, and it has no inverse, or most failures are attributed to it, alone or in a pair. The
        attribution also counts if the inverse repairs too little, or in too few groups, to be
        significant, but not if it repairs nothing.
        """
        constants = CONSTANTS.causes
        if self.reproduction_rate < constants.min_accuracy_loss:
            return CauseRefusal.NOT_REPRODUCED
        if self.has_shortfall(significance_level):
            return CauseRefusal.REPAIRS_TOO_FEW
        if self.is_repair_significant(significance_level) and self.is_nearer:
            return None
        if self.confusion_agreement < constants.min_confusion_agreement:
            return CauseRefusal.OTHER_CONFUSIONS
        is_matched = self.auc <= constants.max_indistinguishable_auc and self.is_nearer
        if is_matched and not self.is_invertible:
            return None
        if self.repair_p_value is not None and (self.repair_effect or 0.0) <= 0:
            return CauseRefusal.REPAIRS_TOO_FEW
        if self.is_majority_cause or self.is_pair_member:
            return None
        return CauseRefusal.MAJORITY_NOT_SHOWN if self.is_nearer else CauseRefusal.NOT_NEARER

    @property
    def is_majority_cause(self) -> bool:
        """Return whether most failures are attributed to it, with a significant lead."""
        return (self.attributed_share or 0.0) >= CONSTANTS.causes.majority_share and (
            self.attribution_lead or 0.0
        ) > 0

    @property
    def is_pair_member(self) -> bool:
        """Return whether most failures are attributed to it and another, inseparable treatment."""
        return (
            self.pair_share >= CONSTANTS.causes.majority_share
            and (self.attributed_share or 0.0) >= CONSTANTS.causes.negligible_share
        )

    def has_shortfall(self, significance_level: float) -> bool:
        """Return whether repairs refute that the cause made most failures of the slice.

        Each member of a pair may have made fewer.
        """
        return (
            self.is_invertible
            and self.shortfall_p_value is not None
            and self.shortfall_p_value <= significance_level
            and not self.is_pair_member
        )

    def is_repair_significant(self, significance_level: float) -> bool:
        """Return whether its inverse transform repairs the slice significantly."""
        return (
            self.is_invertible
            and self.repair_p_value is not None
            and self.repair_p_value <= significance_level
            and (self.repair_effect or 0.0) > 0
        )


def rank_candidates(
    candidates: list[CauseCandidate], significance_level: float
) -> list[CauseCandidate]:
    """Return the candidates with their refusals, best first.

    The order is: can be named; most failures are attributed to it, or to it and another; nearest to
    the slice. A repair alone does not identify the cause: more contrast also repairs fog. Among the
    candidates that are as near as the nearest, the one that is hardest to separate from the slice
    comes first, and among equals the one whose inverse repairs most.
    """
    candidates = [replace(c, refusal=c.find_refusal(significance_level)) for c in candidates]
    passing = [c for c in candidates if c.refusal is None]
    nearest = min((c.attribute_distance for c in passing), default=0.0)
    lowest_auc = min((c.auc for c in passing if _is_near(c, nearest)), default=0.0)

    def build_key(candidate: CauseCandidate) -> RankingKey:
        can_be_named = candidate.refusal is None
        is_tied = can_be_named and _is_near(candidate, nearest)
        closeness = (candidate.attribute_distance, 0.0, 0.0)
        if is_tied:
            separation = max(candidate.auc - lowest_auc - CONSTANTS.causes.auc_tolerance, 0.0)
            closeness = (separation, -(candidate.repair_effect or 0.0), candidate.auc)
        return (
            not can_be_named,
            not candidate.is_majority_cause,
            not candidate.is_pair_member,
            not is_tied,
            *closeness,
            candidate.remedy,
        )

    return sorted(candidates, key=build_key)


def _is_near(candidate: CauseCandidate, distance: float) -> bool:
    return candidate.attribute_distance - distance <= CONSTANTS.causes.distance_tolerance


def name_causes(
    candidates: list[CauseCandidate], equivalent_remedies: set[str], significance_level: float
) -> list[CauseCandidate]:
    """Return the candidates with the best one named, and every one that ties with it.

    No candidate is named if the best one has hardly any attributed failures, whatever its inverse
    repairs.

    Args:
        candidates: in the order of `rank_candidates`.
        equivalent_remedies: remedies whose copies are indistinguishable from the best candidate's;
            they are marked as equivalent and not named.
        significance_level: level of the repair test.
    """
    if not candidates or not candidates[0].can_be_named(significance_level):
        return candidates
    best = candidates[0]
    share = best.attributed_share
    if share is not None and share < CONSTANTS.causes.negligible_share:
        return candidates
    is_confirmed = best.is_repair_significant(significance_level)
    marked = [replace(best, is_named=True, is_inverse_confirmed=is_confirmed)]
    for candidate in candidates[1:]:
        can_be_named = candidate.can_be_named(significance_level)
        is_equivalent = candidate.remedy in equivalent_remedies or (
            candidate.cause_words == best.cause_words and can_be_named
        )
        is_named = can_be_named and not is_equivalent and _is_tied(best, candidate)
        is_confirmed = candidate.is_repair_significant(significance_level)
        marked.append(
            replace(
                candidate,
                is_equivalent=is_equivalent,
                is_named=is_named,
                is_inverse_confirmed=is_confirmed,
            )
        )
    return marked


def _is_tied(best: CauseCandidate, other: CauseCandidate) -> bool:
    """Return whether the evidence does not decide between the best candidate and another."""
    if best.is_pair_member and other.is_pair_member:
        return True
    constants = CONSTANTS.causes
    has_majority = max(best.attributed_share or 0.0, best.pair_share) >= constants.majority_share
    is_outdone = has_majority and (other.attributed_share or 0.0) < constants.negligible_share
    is_near = (
        _is_near(other, best.attribute_distance) and other.auc - best.auc <= constants.auc_tolerance
    )
    return is_near and not best.is_majority_cause and not is_outdone
