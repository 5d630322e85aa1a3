"""Proposals on some folds of val: readable rules that gather recoverable errors.

One search, several targets: all errors in excess of the same class; the errors of one cluster of repair signatures
(k-means on the changes of the true class's log-probability); what one intervention repairs in excess of equally unsure
images; the errors of one component of an error-aware mixture; errors near to each other in frozen features. The rule is
the readable condition (or pair) that gathers most of the target, and its score is in errors that could be recovered,
whichever target it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from pipeline.domain.rules import Condition, Mask, Rule, get_period

Floats = NDArray[np.float64]
TAIL_QUANTILES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
PAIR_SCORE_FACTOR = 1.25  # a second condition must raise the score by this factor
CLASS_RULE_WEIGHT = 0.85  # what a rule with a label part counts: a image at the gate has no label
CONTAINED_SHARE = (
    0.8  # share of a rule's errors that lie in a better rule, from which it is only a part of that
)
CLASS_CONTAINED_SHARE = (
    0.6  # the same for a rule for one class: more of its errors are its class's own
)
DENSITY_FACTOR = 1.25  # unless it recovers so many times more errors a image than the better one
TIED_SCORE_SHARE = 0.9  # of the best rule's score, from which a rule that admits mostly the same images says the same
DUPLICATE_OVERLAP = 0.7  # overlap of two rules' images from which they admit mostly the same
SIMILARITY_RULE_WEIGHT = 0.7  # what a rule "looks like image X" counts against one in words
ARC_HOURS = (3.0, 6.0, 9.0)  # lengths of the arcs tried on a circle of 24


@dataclass(frozen=True)
class ProposalEvidence:
    """What proposals are made from: the rows of val that belong to the proposing folds.

    frame: conditions_frame rows; errors: bool [n]; signatures: float [n, interventions], NaN where not probed; repairs:
    float [n, interventions], `confirm.matched_residuals`, and gains, the weighted plain changes, 0 where not probed;
    distance: float32 [prototypes, n] to the images `prototypes` (image ids) in frozen features; parts: float [n,
    components], responsibilities of `mixture.components`; costs: float [n], of each answer as a share of the worst
    error, None where all errors cost alike.
    """

    frame: pd.DataFrame
    is_misclassified: Mask
    signatures: NDArray[np.float32]
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
        """float [n]: what proposals gather: the errors, by what they cost."""
        return (
            self.is_misclassified.astype(float)
            if self.prediction_costs is None
            else self.prediction_costs
        )

    @cached_property
    def class_codes(self) -> NDArray[np.intp]:
        """int [n]: a code for each row's class."""
        return np.asarray(pd.factorize(self.frame["label"])[0])

    @cached_property
    def group_codes(self) -> NDArray[np.intp]:
        """int [n]: a code for each row's group."""
        return np.asarray(pd.factorize(self.frame["group"])[0])


@dataclass(frozen=True)
class ProposedRule:
    """A rule with the errors it would recover: the sum, over its members, of error less the class's mean error."""

    rule: Rule
    mask: Mask
    recoverable_errors: float
    score: float  # recoverable less one standard error by group

    @property
    def density(self) -> float:
        """Recoverable errors a image."""
        return self.recoverable_errors / max(int(self.mask.sum()), 1)


def compute_class_excess(errors: Mask | Floats, class_codes: NDArray[np.intp]) -> Floats:
    """float [n]: each row's error less the mean error of its class."""
    sums, counts = np.bincount(class_codes, errors.astype(float)), np.bincount(class_codes)
    return np.asarray(errors - (sums / np.maximum(counts, 1))[class_codes])


def _generate_conditions(frame: pd.DataFrame) -> Iterator[Condition]:
    for name in frame.columns[3:]:
        column = frame[name]
        circle = get_period(name)
        if circle:
            yield from (
                Condition(name, "between", (start, (start + arc * circle / 24) % circle))
                for arc in ARC_HOURS
                for start in np.arange(0, circle, circle / 24)
            )
        elif (
            pd.api.types.is_numeric_dtype(column)
            and not pd.api.types.is_bool_dtype(column)
            and column.nunique() > 8
        ):
            tails = sorted({*TAIL_QUANTILES, *(1 - t for t in TAIL_QUANTILES)})
            cuts = np.nanquantile(column.to_numpy(dtype=float, na_value=np.nan), tails)
            yield from (
                Condition(name, "<=", float(c))
                for t, c in zip(tails, cuts, strict=True)
                if t <= 0.5
            )
            yield from (
                Condition(name, ">=", float(c))
                for t, c in zip(tails, cuts, strict=True)
                if t >= 0.5
            )
        else:
            yield from (
                Condition(name, "is", str(v))
                for v in sorted(column.dropna().astype("str").unique())
            )


def _score_masks(
    masks: NDArray[np.bool_], target: Floats, group_codes: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """What each mask [masks, n] gathers, and the standard error of that over group sums."""
    recoverable, error = np.empty(len(masks)), np.empty(len(masks))
    for i, mask in enumerate(masks):
        rows = np.flatnonzero(mask)
        sums = np.bincount(group_codes[rows], target[rows])
        recoverable[i], error[i] = sums.sum(), np.sqrt((sums**2).sum())
    return recoverable, error


@dataclass(frozen=True)
class _ConditionSearch:
    """Every single condition of a frame with its mask, scored against any target."""

    evidence: ProposalEvidence
    conditions: list[Condition]
    masks: NDArray[np.bool_]

    @classmethod
    def from_evidence(cls, evidence: ProposalEvidence) -> _ConditionSearch:
        conditions = list(_generate_conditions(evidence.frame))
        masks = np.array([c.compute_mask(evidence.frame, {}) for c in conditions]).reshape(
            -1, len(evidence.frame)
        )
        enough = (masks.sum(1) >= evidence.min_images) & (masks.sum(1) <= 0.6 * masks.shape[1])
        return cls(
            evidence, [c for c, ok in zip(conditions, enough, strict=True) if ok], masks[enough]
        )

    def find_best_rules(
        self, target: Floats, source: str, max_conditions: int, label: str | None = None
    ) -> list[ProposedRule]:
        """The rules that gather most of `target` (float [n], by row): single conditions, and pairs of one with the
        `keep` best."""
        evidence = self.evidence
        of_class = (
            np.ones(len(target), bool)
            if label is None
            else np.asarray(evidence.frame["label"] == label)
        )
        residual = target * of_class
        if not len(self.masks):
            return []
        gathered, error = _score_masks(self.masks, residual, evidence.group_codes)
        single = gathered - error
        order = np.argsort(-single, kind="stable")
        top = [int(i) for i in order[:max_conditions]]
        if (
            source == "repair"
        ):  # sparing images that were right gathers too, but is no failure repaired
            hits = self.masks @ np.where(evidence.is_misclassified, residual, 0).clip(0)
            top = list(dict.fromkeys(self._find_tightest_condition(i, hits) for i in top))
        rules: list[tuple[tuple[Condition, ...], Mask, float]] = [
            ((self.conditions[i],), self.masks[i], single[i]) for i in top
        ]
        for i in top[: max_conditions // 2]:
            others = [
                j
                for j in order[: 6 * max_conditions]
                if self.conditions[j].column != self.conditions[i].column
            ]
            pairs = self.masks[i] & self.masks[others]
            gathered, error = _score_masks(pairs, residual, evidence.group_codes)
            score = gathered - error
            j = int(np.argmax(score)) if len(others) else -1
            # a longer rule must earn its second condition
            if (
                j >= 0
                and score[j] > PAIR_SCORE_FACTOR * max(single[i], 0.0)
                and (pairs[j] & of_class).sum() >= evidence.min_images
            ):
                rules.append(((self.conditions[i], self.conditions[others[j]]), pairs[j], score[j]))
        kept = [(Rule(c, label, source), mask & of_class) for c, mask, s in rules if s > 0]
        return [
            score_rule(evidence, rule, mask)
            for rule, mask in kept
            if mask.sum() >= evidence.min_images
        ]

    def _find_tightest_condition(self, condition_index: int, failure_counts: Floats) -> int:
        """Of the conditions that differ from `found` in a tighter threshold and hold as many of the failures sought
        (`hits`, by condition), the one with fewest images: the rest fail no more than elsewhere, and blur the rule."""
        same = (
            i
            for i, c in enumerate(self.conditions)
            if c.key == self.conditions[condition_index].key
        )
        tied = [
            i
            for i in same
            if failure_counts[i] >= TIED_SCORE_SHARE * failure_counts[condition_index]
            and not (self.masks[i] & ~self.masks[condition_index]).any()
        ]
        return min(tied, key=lambda i: int(self.masks[i].sum()), default=condition_index)


def score_rule(
    evidence: ProposalEvidence, rule: Rule, mask: Mask, target: Floats | None = None
) -> ProposedRule:
    """Score a rule against all errors of the proposing folds, or against what an intervention repairs (`target`).

    The best of many interventions flatters: what one repairs counts less two standard errors.
    """
    residual = (
        compute_class_excess(evidence.error_losses, evidence.class_codes)
        if target is None
        else target
    )
    recoverable, error = (
        float(v[0]) for v in _score_masks(mask[None], residual, evidence.group_codes)
    )
    worth = 1.0 if rule.label is None else CLASS_RULE_WEIGHT
    return ProposedRule(
        rule, mask, recoverable, worth * (recoverable - error * (1 if target is None else 2))
    )


def propose_from_signatures(
    evidence: ProposalEvidence, search: _ConditionSearch, max_clusters: int
) -> Iterator[list[ProposedRule]]:
    """Rules for the errors that the same interventions repair (k-means on their signatures)."""
    probed = (
        evidence.is_misclassified & ~np.isnan(evidence.signatures[:, 0])
        if evidence.signatures.shape[1]
        else np.zeros(0, bool)
    )
    k = min(max_clusters, int(probed.sum()) // 10)
    if k < 2:
        return
    signature = np.clip(np.nan_to_num(evidence.signatures[probed]), -5, 5)
    codes = KMeans(k, n_init=3, random_state=evidence.seed).fit_predict(signature)
    for code in range(k):
        target = np.zeros(len(evidence.is_misclassified), bool)
        target[np.flatnonzero(probed)[codes == code]] = True
        yield search.find_best_rules(
            compute_class_excess(target, evidence.class_codes), "repair signature", max_conditions=4
        )


def propose_from_repairs(
    evidence: ProposalEvidence, search: _ConditionSearch
) -> Iterator[list[ProposedRule]]:
    """For each intervention, the rule under which it repairs most in excess of equally unsure images elsewhere."""
    for target, gain in zip(evidence.repair_residuals.T, evidence.repair_gains.T, strict=True):
        for found in search.find_best_rules(target, "repair", max_conditions=2):
            better = score_rule(evidence, found.rule, found.mask, target)
            # an intervention that only breaks less here than elsewhere repairs nothing
            yield [replace(better, score=min(better.score, float(gain[found.mask].sum())))]


def propose_from_mixture(
    evidence: ProposalEvidence, search: _ConditionSearch
) -> Iterator[list[ProposedRule]]:
    """Rules for the failures that a component of the error-aware mixture gathers in excess of their class."""
    for part in evidence.responsibilities.T:
        errors = evidence.error_losses * part
        if (evidence.is_misclassified * part).sum() >= 10:
            sums, counts = (
                np.bincount(evidence.class_codes, errors),
                np.bincount(evidence.class_codes),
            )
            yield search.find_best_rules(
                errors - (sums / counts)[evidence.class_codes], "mixture", max_conditions=4
            )


def propose_from_features(evidence: ProposalEvidence) -> Iterator[list[ProposedRule]]:
    """Rules `looks like image X`: the radius around a prototype that gathers most excess error."""
    residual = compute_class_excess(evidence.error_losses, evidence.class_codes)
    for name, distance in zip(evidence.prototype_ids, evidence.prototype_distances, strict=True):
        order = np.argsort(distance, kind="stable")
        gathered = np.cumsum(residual[order])[: int(0.3 * len(order))]
        size = int(np.argmax(gathered)) + 1 if len(gathered) else 0
        if size >= evidence.min_images:
            rule = Rule(
                (Condition(name, "near", float(distance[order[size - 1]])),),
                source="frozen features",
            )
            found = score_rule(evidence, rule, np.asarray(distance <= distance[order[size - 1]]))
            yield [replace(found, score=found.score * SIMILARITY_RULE_WEIGHT)]


def _choose_plainest(
    candidate: ProposedRule, proposals: list[ProposedRule], column_order: list[str]
) -> ProposedRule:
    """Of the rules that say the same as `found`, the shortest, on the columns that come first: the visible list of
    attributes is in the order of what a reader takes in most easily, and collinear statistics do not win by a hair."""

    def order(other: ProposedRule) -> tuple[int, int, float]:
        at = [
            column_order.index(c.column) if c.column in column_order else len(column_order)
            for c in other.rule.conditions
        ]
        return len(at), max(at), -other.score

    def same(other: ProposedRule) -> bool:
        shared = (candidate.mask & other.mask).sum() >= DUPLICATE_OVERLAP * (
            candidate.mask | other.mask
        ).sum()
        return bool(
            shared
            and other.rule.label == candidate.rule.label
            and other.score >= TIED_SCORE_SHARE * candidate.score
        )

    return min((other for other in proposals if same(other)), key=order)


def _select_distinct(
    proposals: list[ProposedRule], evidence: ProposalEvidence, max_overlap: float
) -> Iterator[ProposedRule]:
    """The best proposals, each by its plainest rule, without those whose errors are mostly the errors of a better one:
    the same images by another rule, or a part of a cause (in one class, at one hour)."""
    taken, errors, columns = (
        list[ProposedRule](),
        evidence.is_misclassified,
        list(evidence.frame.columns),
    )
    for found in sorted(proposals, key=lambda p: (-p.score, len(p.rule.conditions), p.rule.key)):
        if not any(_is_covered(other, found, errors, max_overlap) for other in taken):
            taken.append(_choose_plainest(found, proposals, columns))
            yield taken[-1]


def _is_covered(
    better_rule: ProposedRule, candidate: ProposedRule, is_misclassified: Mask, max_overlap: float
) -> bool:
    """Whether a better rule leaves nothing to `found`: its errors are mostly the same, or these lie mostly in it."""
    mine, other = candidate.mask & is_misclassified, better_rule.mask & is_misclassified
    both = (mine & other).sum()
    if both > max_overlap * (mine | other).sum():
        return True
    if candidate.rule.label:
        return bool(both > CLASS_CONTAINED_SHARE * mine.sum())
    return bool(
        both > CONTAINED_SHARE * mine.sum()
        and candidate.density < DENSITY_FACTOR * better_rule.density
    )


def propose_rules(
    evidence: ProposalEvidence,
    *,
    max_rules: int = 8,
    max_clusters: int = 6,
    max_overlap: float = 0.4,
    fixed_proposals: Iterable[ProposedRule] = (),
) -> list[ProposedRule]:
    """The `slices` best distinct proposals of all sources and those `given`, by recoverable errors; empty where nothing
    fails."""
    if not evidence.is_misclassified.any():
        return []
    search, residual = (
        _ConditionSearch.from_evidence(evidence),
        compute_class_excess(evidence.error_losses, evidence.class_codes),
    )
    hard = evidence.frame.loc[evidence.is_misclassified, "label"].value_counts()
    found = [
        search.find_best_rules(residual, "attributes", max_conditions=24),
        *propose_from_signatures(evidence, search, max_clusters),
        *propose_from_repairs(evidence, search),
        *propose_from_mixture(evidence, search),
        *propose_from_features(evidence),
        fixed_proposals,
        *(
            search.find_best_rules(residual, "class", max_conditions=2, label=str(c))
            for c in hard.index[:10]
            if hard[c] >= 10
        ),
    ]
    distinct = _select_distinct(
        [f for part in found for f in part if f.score > 0], evidence, max_overlap
    )
    return list(islice(distinct, max_rules))
