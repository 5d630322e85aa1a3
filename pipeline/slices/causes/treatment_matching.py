"""Which treatment of good images makes them look like a slice, and does undoing it repair the slice?

How alike treated good images and the slice are is measured by their mean Cliff's delta over the attributes: unlike a
multivariate AUC, which is near 1 as soon as one attribute differs (sensor noise, say), it still ranks the strengths.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline import plugins
from pipeline.domain.rules import Mask
from pipeline.slices.causes.cause_naming import (
    INDISTINGUISHABLE_AUC,
    MIN_ACCURACY_LOSS,
    CauseCandidate,
    build_strength_grid,
    name_causes,
    rank_candidates,
)
from pipeline.slices.causes.good_images import GoodImages, sample_by_group
from pipeline.slices.causes.repair_test import (
    MIN_FAILING_GROUPS,
    add_repairs,
    evaluate_other_remedies,
)
from pipeline.slices.causes.treatment_attribution import attribute_failures
from pipeline.statistics.two_sample_test import compute_two_sample_auc

Floats = NDArray[np.float64]
ConfusionPair = tuple[int, int]
StrengthsByCause = dict[tuple[str, str], list[float]]
"""The strengths of each possible cause, by its remedy and its words: a side of neutral."""
MAX_TESTED_CANDIDATES = 10  # causes, nearest in looks, that the model is asked about
REFINEMENT_ROUNDS = 2  # rounds in which the strengths beside the best-matched one are halved
MIN_MUTUAL_REPAIR = (
    0.8  # share of the other's damage that each one's inverse must repair for two causes to be one
)
MIN_REGAINED_SHARE = (
    0.5  # share of its own damage that an inverse must repair to count as one at that strength
)
UNTREATED_KEY = ("", "")  # in place of a remedy and its words
MAX_TREATED_IMAGES, NEAREST_STRENGTHS = (
    60,
    3,
)  # good images that show what a treatment looks like, each at as many strengths, nearest in looks
MIN_DISTANCE_REDUCTION = (
    0.5  # share of the distance from the slice that a suspected cause accounts for at least
)


def measure_mismatch(first_values: Floats, second_values: Floats) -> float:
    """Mean absolute Cliff's delta over the columns of a [n, k] and b [m, k]: 0 alike, 1 apart (Cliff 1993)."""
    deltas = []
    for x, y in zip(first_values.T, second_values.T, strict=True):
        x, y = x[~np.isnan(x)], y[~np.isnan(y)]
        if len(x) and len(y):
            ranks = stats.rankdata(np.concatenate([x, y]))[: len(x)]
            deltas.append(
                abs(2 * (ranks.sum() - len(x) * (len(x) + 1) / 2) / (len(x) * len(y)) - 1)
            )
    return float(np.mean(deltas)) if deltas else 1.0


def measure_confusion_agreement(
    pairs: list[ConfusionPair], groups: list[str], slice_pairs: set[ConfusionPair]
) -> float:
    """Share of the (label, prediction) `pairs` that are among those `seen`, as a part of the share that images of other
    groups show, where any could: of many classes, few pairs come twice, whatever the cause. At most 1; 0 of none."""
    if not pairs:
        return 0.0
    of_pair, of_label = defaultdict[ConfusionPair, set[str]](set), defaultdict[int, set[str]](set)
    for pair, group in zip(pairs, groups, strict=True):
        of_pair[pair].add(group)
        of_label[pair[0]].add(group)
    again = [len(of_pair[pair]) > 1 for pair in pairs if len(of_label[pair[0]]) > 1]
    return min(
        1.0,
        float(np.mean([pair in slice_pairs for pair in pairs]))
        / (float(np.mean(again or [False])) or 1.0),
    )


class TreatmentMatcher:
    """Compares the treated images of a pool with one slice."""

    def __init__(
        self, good_images: GoodImages, slice_mask: Mask, typical_mask: Mask, max_images: int
    ) -> None:
        """Draw up to `images` of those of the slice on whom a cause is matched, `typical` (bool [rows of val], as
        inside); and up to as many failing ones, of all of the slice where fewer than `GROUPS` groups of those fail."""
        self.good_images, self.val, rng = (
            good_images,
            good_images.val,
            np.random.default_rng(good_images.seed),
        )
        self.slice_rows = sample_by_group(
            self.val.groups, np.flatnonzero(typical_mask), max_images, rng
        )
        mine, every = (
            np.flatnonzero(mask & self.val.is_misclassified) for mask in (typical_mask, slice_mask)
        )
        enough = len(np.unique(self.val.groups[mine])) >= MIN_FAILING_GROUPS
        self.failing_rows = sample_by_group(
            self.val.groups, mine if enough else every, max_images, rng
        )
        self.slice_values = good_images.tools.measure_attributes(
            np.asarray(good_images.tools.pixels[self.val.image_rows[self.slice_rows]])
        )

    def measure_distance(self, remedy: str, low: float, high: float) -> float:
        """How far the treated good images are from the slice."""
        return measure_mismatch(
            self.good_images.measure_treated(remedy, low, high), self.slice_values
        )

    def build_candidate(self, remedy: str, strengths: list[float]) -> CauseCandidate:
        """The best-matched strength on one side of neutral."""
        plugin = plugins.load_plugin("remedies", remedy)
        apart, strength = min((self.measure_distance(remedy, strength, strength), strength) for strength in strengths)
        for _ in range(REFINEMENT_ROUNDS if plugin.IS_ORDERED else 0):
            strengths[:] = sorted({*strengths, *_compute_midpoints(strengths, strength)})
            apart, strength = min((self.measure_distance(remedy, d, d), d) for d in strengths)
        below = plugin.NEUTRAL_STRENGTH is not None and strength < plugin.NEUTRAL_STRENGTH
        words = plugin.CAUSE_WORDS[0 if below else 1]
        return CauseCandidate(
            remedy, words, float(strength), apart, plugin.invert_strength(strength) is not None
        )

    def evaluate_candidate(self, candidate: CauseCandidate) -> CauseCandidate:
        """What the treatment does to good images, and whether a classifier tells its copies from the slice."""
        pool, groups = self.good_images, self.val.groups
        truth, treated = (
            pool.labels,
            pool.apply_remedy(candidate.remedy, candidate.strength, candidate.strength),
        )
        guess = pool.tools.predict_labels(treated) if pool.tools.predict_labels else truth
        broken, errors = guess != truth, self.failing_rows
        back = (
            pool.measure_regained_share(candidate.remedy, treated, broken, candidate.strength)
            if candidate.is_invertible
            else 0.0
        )
        seen = set(
            zip(
                self.val.labels[errors].tolist(), self.val.predictions[errors].tolist(), strict=True
            )
        )
        pairs = list(zip(truth[broken].tolist(), guess[broken].tolist(), strict=True))
        values = pool.measure_treated(candidate.remedy, candidate.strength, candidate.strength)
        return replace(
            candidate,
            is_invertible=back >= MIN_REGAINED_SHARE,
            auc=compute_two_sample_auc(
                values, self.slice_values, pool.groups, groups[self.slice_rows], pool.seed
            ),
            reproduces=float(broken.mean()),
            confusion_agreement=measure_confusion_agreement(
                pairs, pool.groups[broken].tolist(), seen
            ),
        )

    def find_equivalents(self, best: CauseCandidate, others: list[CauseCandidate]) -> set[str]:
        """Remedies that are the same cause as the best rival's (design rule 4): their copies of the good images cannot
        be told apart, or each one's inverse regains `UNDOES` of what the other breaks."""
        return {
            other.remedy
            for other in others
            if self._is_indistinguishable(best, other) or self._is_mutual_inverse(best, other)
        }

    def _is_indistinguishable(self, first: CauseCandidate, second: CauseCandidate) -> bool:
        mine, theirs = (
            self.good_images.measure_treated(r.remedy, r.strength, r.strength) for r in (first, second)
        )
        return (
            compute_two_sample_auc(
                mine,
                theirs,
                self.good_images.groups,
                self.good_images.groups,
                self.good_images.seed,
            )
            <= INDISTINGUISHABLE_AUC
        )

    def _is_mutual_inverse(self, first: CauseCandidate, second: CauseCandidate) -> bool:
        pool = self.good_images
        if pool.tools.predict_labels is None:
            return False
        for broken_by, undone in ((first, second), (second, first)):
            treated = pool.apply_remedy(broken_by.remedy, broken_by.strength, broken_by.strength)
            wrong = pool.tools.predict_labels(treated) != pool.labels
            if (
                pool.measure_regained_share(undone.remedy, treated, wrong, undone.strength)
                < MIN_MUTUAL_REPAIR
            ):
                return False
        return True

    def rank_by_attribution(
        self,
        candidates: list[CauseCandidate],
        strengths_by_cause: StrengthsByCause,
        evaluated: list[CauseCandidate],
    ) -> list[CauseCandidate]:
        """The rivals with their shares of the slice's failing images; the one that accounts for most of them, or the
        two that do together, may be none of those `tried`. Each treatment is shown at the strengths whose copies come
        nearest to those images: a rule that admits much else hides theirs.

        every: the best-matched strength of each possible cause."""
        val, few, rows = (
            self.val,
            self.good_images.sample_subset(MAX_TREATED_IMAGES),
            self.failing_rows,
        )
        if len(np.unique(val.groups[rows])) < MIN_FAILING_GROUPS or len(few.rows) < 2:
            return evaluated
        images = np.asarray(few.tools.pixels[val.image_rows[rows]])
        described, values = few.tools.describe_images, few.tools.measure_attributes(images)
        nearest = {
            rival: self._select_nearest_strengths(rival, strengths_by_cause, values)
            for rival in candidates
        }
        copies = {UNTREATED_KEY: described(few.images)}
        for rival in candidates:
            treated = [few.apply_remedy(rival.remedy, d, d) for d in nearest[rival]]
            copies[rival.remedy, rival.words] = described(np.concatenate(treated))
        found = attribute_failures(
            copies, described(images), val.groups[rows], few.seed, UNTREATED_KEY
        )
        first = max(candidates, key=lambda rival: found[rival.remedy, rival.words].share)
        leading = [
            rival
            for rival in candidates
            if rival == first or found[rival.remedy, rival.words].pair_share
        ]
        known = {(rival.remedy, rival.words) for rival in leading}
        ranked = [self._choose_reproducing_strength(rival, nearest[rival]) for rival in leading]
        ranked += [r for r in evaluated if (r.remedy, r.words) not in known]
        return [replace(r, **vars(found[r.remedy, r.words])) for r in ranked]

    def _select_nearest_strengths(
        self,
        candidate: CauseCandidate,
        strengths_by_cause: StrengthsByCause,
        failing_values: Floats,
    ) -> list[float]:
        strengths = {*strengths_by_cause[candidate.remedy, candidate.words], candidate.strength}
        return sorted(
            strengths,
            key=lambda d: measure_mismatch(
                self.good_images.measure_treated(candidate.remedy, d, d), failing_values
            ),
        )[:NEAREST_STRENGTHS]

    def _choose_reproducing_strength(
        self, candidate: CauseCandidate, strengths: list[float]
    ) -> CauseCandidate:
        """Tried at the first of its strengths that reproduces a failure; at the first, where none does."""
        found = [
            self.evaluate_candidate(
                replace(candidate, strength=d, apart=self.measure_distance(candidate.remedy, d, d))
            )
            for d in strengths
        ]
        return next((one for one in found if one.reproduces >= MIN_ACCURACY_LOSS), found[0])

    def find_strength_range(
        self, best: CauseCandidate, strengths: list[float]
    ) -> tuple[float, float]:
        """The strengths about the best-matched one whose copies are nearer to the slice than half way from its own to
        untreated images, and the next one on either side: what befell the slice may lie between two that were tried."""
        inner = sorted({*strengths, best.strength})
        apart, at = (
            [self.measure_distance(best.remedy, strength, strength) for strength in inner],
            inner.index(best.strength),
        )
        untreated = measure_mismatch(
            self.good_images.tools.measure_attributes(self.good_images.images), self.slice_values
        )
        far = [k for k, away in enumerate(apart) if away > (apart[at] + untreated) / 2]
        return inner[max((k for k in far if k < at), default=0)], inner[
            min((k for k in far if k > at), default=-1)
        ]


def _compute_midpoints(strengths: list[float], strength: float) -> list[float]:
    """The middles between a strength and its neighbors (geometric where all strengths are positive)."""
    inner = sorted(strengths)
    at = inner.index(strength)
    pairs = pairwise(inner[max(0, at - 1) : at + 2])
    return [float(np.sqrt(a * b) if min(strengths) > 0 else (a + b) / 2) for a, b in pairs]


def is_possible_strength(remedy: str, strength: float) -> bool:
    """Whether the plug-in knows that strength."""
    try:
        plugins.load_plugin("remedies", remedy).build_transform(strength, strength)
    except ValueError:
        return False
    return True


def list_possible_strengths(remedy: str, strengths: list[float]) -> list[float]:
    """The strengths of a side that the plug-in knows, in their order, and where it knows no more of them, some between the
    last and the first that it does not know: a share of fog ends below 1."""
    known = [strength for strength in strengths if is_possible_strength(remedy, strength)]
    if (
        not known
        or len(known) == len(strengths)
        or not plugins.load_plugin("remedies", remedy).IS_ORDERED
    ):
        return known
    last, stop = known[-1], strengths[len(known)]
    for _ in range(REFINEMENT_ROUNDS):
        middle = (last + stop) / 2
        if is_possible_strength(remedy, middle):
            known.append(last := middle)
        else:
            stop = middle
    return known


def _generate_candidates(matcher: TreatmentMatcher) -> Iterator[tuple[CauseCandidate, list[float]]]:
    """The best-matched strength of every possible cause, on each side of neutral that has words, and the strengths of that
    side."""
    for remedy in plugins.list_plugins("remedies"):
        plugin = plugins.load_plugin("remedies", remedy)
        for side in (
            build_strength_grid(plugin.STRENGTHS, plugin.NEUTRAL_STRENGTH)
            if plugin.IS_CAUSE
            else []
        ):
            below = plugin.NEUTRAL_STRENGTH is not None and side[0] < plugin.NEUTRAL_STRENGTH
            known = list_possible_strengths(remedy, side)
            if plugin.CAUSE_WORDS[0 if below else 1]:
                yield matcher.build_candidate(remedy, list(known)), known


def suspect_cause(
    good_images: GoodImages, slice_mask: Mask, max_images: int
) -> tuple[list[CauseCandidate], tuple[float, float] | None]:
    """The treatment that brings good images nearest to the slice, where no model can be asked; none where it takes
    away less than `SUSPECTED` of their distance from it."""
    matcher = TreatmentMatcher(good_images, slice_mask, slice_mask, max_images)
    if not len(good_images.rows) or not len(matcher.slice_rows):
        return [], None
    untreated = measure_mismatch(
        good_images.tools.measure_attributes(good_images.images), matcher.slice_values
    )
    best, side = min(_generate_candidates(matcher), key=lambda pair: pair[0].apart)
    if best.apart > (1 - MIN_DISTANCE_REDUCTION) * untreated:
        return [], None
    return [replace(best, named=True, is_suspected=True)], matcher.find_strength_range(best, side)


def find_causes(
    good_images: GoodImages,
    slice_mask: Mask,
    typical_mask: Mask,
    interventions: pd.DataFrame,
    max_images: int,
    significance_level: float,
) -> tuple[list[CauseCandidate], tuple[float, float] | None]:
    """The `RIVALS` likeliest causes of a confirmed slice, the named ones marked, and the best one's strength range.

    typical: those of its images on whom the cause is matched."""
    matcher = TreatmentMatcher(good_images, slice_mask, typical_mask, max_images)
    if not len(good_images.rows) or not len(matcher.slice_rows):
        return [], None
    found = list(_generate_candidates(matcher))
    sides = {(rival.remedy, rival.words): side for rival, side in found}
    every = sorted((rival for rival, _ in found), key=lambda rival: rival.apart)
    tried = [matcher.evaluate_candidate(rival) for rival in every[:MAX_TESTED_CANDIDATES]]
    val, rng = good_images.val, np.random.default_rng(good_images.seed)
    failing = sample_by_group(
        val.groups, np.flatnonzero(slice_mask & val.is_misclassified), max_images, rng
    )
    others = evaluate_other_remedies(
        val, failing, good_images.tools, interventions, good_images.seed
    )
    rivals = rank_candidates(
        add_repairs(val, failing, tried, good_images.tools, others, good_images.seed),
        significance_level,
    )
    if not rivals[0].can_be_named(significance_level) or rivals[0].auc > INDISTINGUISHABLE_AUC:
        told = matcher.rank_by_attribution(every, sides, rivals)
        rivals = rank_candidates(
            add_repairs(val, failing, told, good_images.tools, others, good_images.seed),
            significance_level,
        )
    if not rivals[0].can_be_named(significance_level):
        return rivals, None
    elected = name_causes(
        rivals,
        matcher.find_equivalents(
            rivals[0], [r for r in rivals[1:] if r.can_be_named(significance_level)]
        ),
        significance_level,
    )
    fitted = (
        matcher.find_strength_range(elected[0], sides[elected[0].remedy, elected[0].words])
        if elected[0].named
        else None
    )
    return elected, fitted
