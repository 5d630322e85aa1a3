"""Which cause a slice is given. A cause is named only by intervention."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

INDISTINGUISHABLE_AUC = 0.65  # held-out AUC up to which two sets of images cannot be told apart
MAJORITY_SHARE, NEGLIGIBLE_SHARE = (
    0.5,
    0.1,
)  # share of the failures for which a cause accounts, image by image, from which most of them
# are its own, and below which hardly any are
MIN_ACCURACY_LOSS = (
    0.05  # least loss of accuracy, in good images, of a treatment that reproduces a failure
)
EXTRA_STRENGTHS = 4  # strengths tried past a plug-in's own
DISTANCE_TOLERANCE = (
    0.03  # copies whose distances from the slice differ by less do not decide between two rivals
)
AUC_TOLERANCE = 0.1  # nor do those that a classifier tells from it no worse than this


@dataclass(frozen=True)
class CauseCandidate:
    """One possible cause of a slice: a treatment of good images that makes them resemble it.

    strength: the best-matched one; apart: mean Cliff's delta of treated good images against the slice; auc: held-out
    two-sample AUC of the same; reproduces: share of good images that the treatment breaks; repairs, p_repairs:
    effect of the inverse on the slice's held-out images (None where no inverse exists); confusions: share of the
    broken images' (label, prediction) pairs that the slice's own failures show, as a part of what they show of each
    other's (`match.errs_alike`); share, ahead: of the slice's failures for which it accounts, image by image, and by
    how much more than any other (`attribution`; None where a cause is named without); pair: of how many with another.
    """

    remedy: str
    words: str
    strength: float
    apart: float
    is_invertible: bool
    auc: float = 1.0
    reproduces: float = 0.0
    confusion_agreement: float = 0.0
    repairs: float | None = None
    p_repairs: float | None = None
    share: float | None = None
    ahead: float | None = None
    pair_share: float = 0.0
    equivalent: bool = False
    named: bool = False
    is_inverse_confirmed: bool = False  # and its inverse was shown to repair the slice
    is_suspected: bool = False  # by looks alone: there was no model to ask

    def can_be_named(self, significance_level: float) -> bool:
        """Design rule 4: reproduces, and its inverse repairs; where that cannot be judged it errs alike, and its copies
        are alike: as a whole, where it has no inverse, or to most of the failures, image by image, alone or with one
        that it cannot be told from. The last holds too where an inverse repairs what is too little, or in too few
        groups, to be shown; not where it repairs nothing."""
        if self.reproduces < MIN_ACCURACY_LOSS:
            return False
        if self.is_repair_significant(significance_level):
            return True
        judged = self.p_repairs is not None
        alike = not self.is_invertible and self.auc <= INDISTINGUISHABLE_AUC
        accounts = (self.is_majority_cause or self.is_pair_member) and not (
            judged and (self.repairs or 0.0) <= 0
        )
        return self.confusion_agreement >= 0.5 and (alike or accounts)

    @property
    def is_majority_cause(self) -> bool:
        """Whether most of the slice's failures are its own, image by image, and those of no other as surely."""
        return (self.share or 0.0) >= MAJORITY_SHARE and (self.ahead or 0.0) > 0

    @property
    def is_pair_member(self) -> bool:
        """Whether it does so with another, and it cannot be told which of the two it is."""
        return self.pair_share >= MAJORITY_SHARE and (self.share or 0.0) >= NEGLIGIBLE_SHARE

    def is_repair_significant(self, significance_level: float) -> bool:
        """Whether its inverse was shown to repair."""
        return (
            self.is_invertible
            and self.p_repairs is not None
            and self.p_repairs <= significance_level
            and (self.repairs or 0.0) > 0
        )


def rank_candidates(
    candidates: list[CauseCandidate], significance_level: float
) -> list[CauseCandidate]:
    """Rivals that pass first, of them the one that accounts for most of the failures, image by image, or the two that
    do: what an inverse repairs does not tell whose they are (much contrast mends a fog). Then by how near their copies
    come to it. Of those that come as near as the nearest, up to `TIE`, the hardest to tell from it come first; of those
    that are as hard, up to `TOLD`, the one whose inverse repairs the most."""
    passing = [r for r in candidates if r.can_be_named(significance_level)]
    nearest = min((r.apart for r in passing), default=0.0)
    hardest = min((r.auc for r in passing if r.apart - nearest <= DISTANCE_TOLERANCE), default=0.0)

    def key(rival: CauseCandidate) -> tuple[bool, bool, bool, bool, float, float, float, str]:
        tied, told = (
            rival.apart - nearest <= DISTANCE_TOLERANCE,
            max(rival.auc - hardest - AUC_TOLERANCE, 0.0),
        )
        near = (told, -(rival.repairs or 0.0), rival.auc) if tied else (rival.apart, 0.0, 0.0)
        return (
            not rival.can_be_named(significance_level),
            not rival.is_majority_cause,
            not rival.is_pair_member,
            not tied,
            *near,
            rival.remedy,
        )

    return sorted(candidates, key=key)


def name_causes(
    candidates: list[CauseCandidate], equivalent_remedies: set[str], significance_level: float
) -> list[CauseCandidate]:
    """Name the best rival, and with it each one that it does not beat and that is not equivalent to it.

    None where hardly any failure is its own, image by image, whatever its inverse repairs.
    rivals: in the order of `order`; equivalent: remedies whose best copies cannot be told from the best one's.
    """
    if not candidates or not candidates[0].can_be_named(significance_level):
        return candidates
    best = candidates[0]
    if best.share is not None and best.share < NEGLIGIBLE_SHARE:
        return candidates
    marked = [
        replace(
            best, named=True, is_inverse_confirmed=best.is_repair_significant(significance_level)
        )
    ]
    for rival in candidates[1:]:
        same = rival.remedy in equivalent_remedies or (
            rival.words == best.words and rival.can_be_named(significance_level)
        )
        near = (
            rival.apart - best.apart <= DISTANCE_TOLERANCE and rival.auc - best.auc <= AUC_TOLERANCE
        )
        outdone = (
            max(best.share or 0.0, best.pair_share) >= MAJORITY_SHARE
            and (rival.share or 0.0) < NEGLIGIBLE_SHARE
        )
        either = best.is_pair_member and rival.is_pair_member  # and nothing says which of the two
        tied = rival.can_be_named(significance_level) and (
            either or (near and not best.is_majority_cause and not outdone)
        )
        marked.append(
            replace(
                rival,
                equivalent=same,
                named=tied and not same,
                is_inverse_confirmed=rival.is_repair_significant(significance_level),
            )
        )
    return marked


def build_strength_grid(strengths: tuple[float, ...], neutral: float | None) -> list[list[float]]:
    """Strengths to match with, for each side of neutral: the plug-in's own, the points half way between, and `BEYOND`
    further ones, since what befalls images need not stop where the probe does."""
    if neutral is None:
        return [[d] for d in strengths]
    sides = []
    for side in (
        sorted(d for d in strengths if d < neutral),
        sorted((d for d in strengths if d > neutral), reverse=True),
    ):
        if side:
            anchors = [*side, neutral]
            halves = [float(np.mean(pair)) for pair in pairwise(anchors)]
            sides.append(
                sorted(
                    {*side, *halves, *_extend_strengths(side[0], neutral)},
                    key=lambda d: abs(d - neutral),
                )
            )
    return sides


def _extend_strengths(extreme_strength: float, neutral: float) -> list[float]:
    """Powers where strengths multiply (neutral 1), halves on the way down to 0, else half as far again each time."""
    if neutral == 1:
        return [float(extreme_strength ** (1.5**k)) for k in range(1, EXTRA_STRENGTHS + 1)]
    if 0 < extreme_strength < neutral:
        return [float(extreme_strength / 2**k) for k in range(1, EXTRA_STRENGTHS + 1)]
    return [
        float(neutral + (extreme_strength - neutral) * 1.5**k)
        for k in range(1, EXTRA_STRENGTHS + 1)
    ]
