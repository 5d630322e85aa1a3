"""Proposals on some folds of val: readable rules that gather recoverable errors.

One search, several targets: all errors in excess of the same class; the errors of one cluster of repair signatures
(k-means on the changes of the true class's log-probability); what one intervention repairs in excess of equally unsure
photos; the errors of one component of an error-aware mixture; errors near to each other in frozen features. The rule is
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

from pipeline.slicing.rules import Condition, Mask, Rule, period

Floats = NDArray[np.float64]
TAILS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
PAIR = 1.25  # a second condition must raise the score by this factor
ONE_CLASS = 0.85  # what a rule with a label part counts: a photo at the gate has no label
PART = 0.8  # share of a rule's errors that lie in a better rule, from which it is only a part of that
PART_OF_CLASS = 0.6  # the same for a rule for one class: more of its errors are its class's own
PURER = 1.25  # unless it recovers so many times more errors a photo than the better one
TIED = 0.9  # of the best rule's score, from which a rule that admits mostly the same photos says the same
SAME = 0.7  # overlap of two rules' photos from which they admit mostly the same
UNREADABLE = 0.7  # what a rule "looks like photo X" counts against one in words
HOURS = (3.0, 6.0, 9.0)  # lengths of the arcs tried on a circle of 24


@dataclass(frozen=True)
class Evidence:
    """What proposals are made from: the rows of val that belong to the proposing folds.

    frame: conditions_frame rows; errors: bool [n]; signatures: float [n, interventions], NaN where not probed; repairs:
    float [n, interventions], `confirm.matched_residuals`, and gains, the weighted plain changes, 0 where not probed;
    distance: float32 [prototypes, n] to the photos `prototypes` (image ids) in frozen features; parts: float [n,
    components], responsibilities of `mixture.components`; costs: float [n], of each answer as a share of the worst
    error, None where all errors cost alike.
    """

    frame: pd.DataFrame
    errors: Mask
    signatures: NDArray[np.float32]
    repairs: Floats
    gains: Floats
    prototypes: tuple[str, ...]
    distance: NDArray[np.float32]
    parts: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    least: int = 20
    seed: int = 0
    costs: Floats | None = None

    @property
    def losses(self) -> Floats:
        """float [n]: what proposals gather: the errors, by what they cost."""
        return self.errors.astype(float) if self.costs is None else self.costs

    @cached_property
    def classes(self) -> NDArray[np.intp]:
        """int [n]: a code for each row's class."""
        return np.asarray(pd.factorize(self.frame["label"])[0])

    @cached_property
    def groups(self) -> NDArray[np.intp]:
        """int [n]: a code for each row's group."""
        return np.asarray(pd.factorize(self.frame["group"])[0])


@dataclass(frozen=True)
class Proposal:
    """A rule with the errors it would recover: the sum, over its members, of error less the class's mean error."""

    rule: Rule
    mask: Mask
    recoverable: float
    score: float  # recoverable less one standard error by group

    @property
    def density(self) -> float:
        """Recoverable errors a photo."""
        return self.recoverable / max(int(self.mask.sum()), 1)


def excess(errors: Mask | Floats, classes: NDArray[np.intp]) -> Floats:
    """float [n]: each row's error less the mean error of its class."""
    sums, counts = np.bincount(classes, errors.astype(float)), np.bincount(classes)
    return np.asarray(errors - (sums / np.maximum(counts, 1))[classes])


def _single_conditions(frame: pd.DataFrame) -> Iterator[Condition]:
    for name in frame.columns[3:]:
        column = frame[name]
        circle = period(name)
        if circle:
            yield from (
                Condition(name, "between", (start, (start + arc * circle / 24) % circle))
                for arc in HOURS
                for start in np.arange(0, circle, circle / 24)
            )
        elif pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column) and column.nunique() > 8:
            tails = sorted({*TAILS, *(1 - t for t in TAILS)})
            cuts = np.nanquantile(column.to_numpy(dtype=float, na_value=np.nan), tails)
            yield from (Condition(name, "<=", float(c)) for t, c in zip(tails, cuts, strict=True) if t <= 0.5)
            yield from (Condition(name, ">=", float(c)) for t, c in zip(tails, cuts, strict=True) if t >= 0.5)
        else:
            yield from (Condition(name, "is", str(v)) for v in sorted(column.dropna().astype("str").unique()))


def _scores(masks: NDArray[np.bool_], residual: Floats, groups: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """What each mask [masks, n] gathers, and the standard error of that over group sums."""
    recoverable, error = np.empty(len(masks)), np.empty(len(masks))
    for i, mask in enumerate(masks):
        rows = np.flatnonzero(mask)
        sums = np.bincount(groups[rows], residual[rows])
        recoverable[i], error[i] = sums.sum(), np.sqrt((sums**2).sum())
    return recoverable, error


@dataclass(frozen=True)
class _Search:
    """Every single condition of a frame with its mask, scored against any target."""

    evidence: Evidence
    conditions: list[Condition]
    masks: NDArray[np.bool_]

    @classmethod
    def over(cls, evidence: Evidence) -> _Search:
        conditions = list(_single_conditions(evidence.frame))
        masks = np.array([c.mask(evidence.frame, {}) for c in conditions]).reshape(-1, len(evidence.frame))
        enough = (masks.sum(1) >= evidence.least) & (masks.sum(1) <= 0.6 * masks.shape[1])
        return cls(evidence, [c for c, ok in zip(conditions, enough, strict=True) if ok], masks[enough])

    def best(self, target: Floats, source: str, keep: int, label: str | None = None) -> list[Proposal]:
        """The rules that gather most of `target` (float [n], by row): single conditions, and pairs of one with the
        `keep` best."""
        evidence = self.evidence
        of_class = np.ones(len(target), bool) if label is None else np.asarray(evidence.frame["label"] == label)
        residual = target * of_class
        if not len(self.masks):
            return []
        gathered, error = _scores(self.masks, residual, evidence.groups)
        single = gathered - error
        order = np.argsort(-single, kind="stable")
        top = [int(i) for i in order[:keep]]
        if source == "repair":  # sparing photos that were right gathers too, but is no failure repaired
            hits = self.masks @ np.where(evidence.errors, residual, 0).clip(0)
            top = list(dict.fromkeys(self._tightest(i, hits) for i in top))
        rules: list[tuple[tuple[Condition, ...], Mask, float]] = [
            ((self.conditions[i],), self.masks[i], single[i]) for i in top
        ]
        for i in top[: keep // 2]:
            others = [j for j in order[: 6 * keep] if self.conditions[j].column != self.conditions[i].column]
            pairs = self.masks[i] & self.masks[others]
            gathered, error = _scores(pairs, residual, evidence.groups)
            score = gathered - error
            j = int(np.argmax(score)) if len(others) else -1
            # a longer rule must earn its second condition
            if j >= 0 and score[j] > PAIR * max(single[i], 0.0) and (pairs[j] & of_class).sum() >= evidence.least:
                rules.append(((self.conditions[i], self.conditions[others[j]]), pairs[j], score[j]))
        kept = [(Rule(c, label, source), mask & of_class) for c, mask, s in rules if s > 0]
        return [proposal(evidence, rule, mask) for rule, mask in kept if mask.sum() >= evidence.least]

    def _tightest(self, found: int, hits: Floats) -> int:
        """Of the conditions that differ from `found` in a tighter threshold and hold as many of the failures sought
        (`hits`, by condition), the one with fewest photos: the rest fail no more than elsewhere, and blur the rule."""
        same = (i for i, c in enumerate(self.conditions) if c.key == self.conditions[found].key)
        tied = [i for i in same if hits[i] >= TIED * hits[found] and not (self.masks[i] & ~self.masks[found]).any()]
        return min(tied, key=lambda i: int(self.masks[i].sum()), default=found)


def proposal(evidence: Evidence, rule: Rule, mask: Mask, target: Floats | None = None) -> Proposal:
    """Score a rule against all errors of the proposing folds, or against what an intervention repairs (`target`).

    The best of many interventions flatters: what one repairs counts less two standard errors.
    """
    residual = excess(evidence.losses, evidence.classes) if target is None else target
    recoverable, error = (float(v[0]) for v in _scores(mask[None], residual, evidence.groups))
    worth = 1.0 if rule.label is None else ONE_CLASS
    return Proposal(rule, mask, recoverable, worth * (recoverable - error * (1 if target is None else 2)))


def from_signatures(evidence: Evidence, search: _Search, clusters: int) -> Iterator[list[Proposal]]:
    """Rules for the errors that the same interventions repair (k-means on their signatures)."""
    probed = (
        evidence.errors & ~np.isnan(evidence.signatures[:, 0]) if evidence.signatures.shape[1] else np.zeros(0, bool)
    )
    k = min(clusters, int(probed.sum()) // 10)
    if k < 2:
        return
    signature = np.clip(np.nan_to_num(evidence.signatures[probed]), -5, 5)
    codes = KMeans(k, n_init=3, random_state=evidence.seed).fit_predict(signature)
    for code in range(k):
        target = np.zeros(len(evidence.errors), bool)
        target[np.flatnonzero(probed)[codes == code]] = True
        yield search.best(excess(target, evidence.classes), "repair signature", keep=4)


def from_repairs(evidence: Evidence, search: _Search) -> Iterator[list[Proposal]]:
    """For each intervention, the rule under which it repairs most in excess of equally unsure photos elsewhere."""
    for target, gain in zip(evidence.repairs.T, evidence.gains.T, strict=True):
        for found in search.best(target, "repair", keep=2):
            better = proposal(evidence, found.rule, found.mask, target)
            # an intervention that only breaks less here than elsewhere repairs nothing
            yield [replace(better, score=min(better.score, float(gain[found.mask].sum())))]


def from_mixture(evidence: Evidence, search: _Search) -> Iterator[list[Proposal]]:
    """Rules for the failures that a component of the error-aware mixture gathers in excess of their class."""
    for part in evidence.parts.T:
        errors = evidence.losses * part
        if (evidence.errors * part).sum() >= 10:
            sums, counts = np.bincount(evidence.classes, errors), np.bincount(evidence.classes)
            yield search.best(errors - (sums / counts)[evidence.classes], "mixture", keep=4)


def from_features(evidence: Evidence) -> Iterator[list[Proposal]]:
    """Rules `looks like photo X`: the radius around a prototype that gathers most excess error."""
    residual = excess(evidence.losses, evidence.classes)
    for name, distance in zip(evidence.prototypes, evidence.distance, strict=True):
        order = np.argsort(distance, kind="stable")
        gathered = np.cumsum(residual[order])[: int(0.3 * len(order))]
        size = int(np.argmax(gathered)) + 1 if len(gathered) else 0
        if size >= evidence.least:
            rule = Rule((Condition(name, "near", float(distance[order[size - 1]])),), source="frozen features")
            found = proposal(evidence, rule, np.asarray(distance <= distance[order[size - 1]]))
            yield [replace(found, score=found.score * UNREADABLE)]


def _plainest(found: Proposal, proposals: list[Proposal], columns: list[str]) -> Proposal:
    """Of the rules that say the same as `found`, the shortest, on the columns that come first: the visible list of
    attributes is in the order of what a reader takes in most easily, and collinear statistics do not win by a hair."""

    def order(other: Proposal) -> tuple[int, int, float]:
        at = [columns.index(c.column) if c.column in columns else len(columns) for c in other.rule.conditions]
        return len(at), max(at), -other.score

    def same(other: Proposal) -> bool:
        shared = (found.mask & other.mask).sum() >= SAME * (found.mask | other.mask).sum()
        return bool(shared and other.rule.label == found.rule.label and other.score >= TIED * found.score)

    return min((other for other in proposals if same(other)), key=order)


def _distinct(proposals: list[Proposal], evidence: Evidence, overlap: float) -> Iterator[Proposal]:
    """The best proposals, each by its plainest rule, without those whose errors are mostly the errors of a better one:
    the same photos by another rule, or a part of a cause (in one class, at one hour)."""
    taken, errors, columns = list[Proposal](), evidence.errors, list(evidence.frame.columns)
    for found in sorted(proposals, key=lambda p: (-p.score, len(p.rule.conditions), p.rule.key)):
        if not any(_covers(other, found, errors, overlap) for other in taken):
            taken.append(_plainest(found, proposals, columns))
            yield taken[-1]


def _covers(better: Proposal, found: Proposal, errors: Mask, overlap: float) -> bool:
    """Whether a better rule leaves nothing to `found`: its errors are mostly the same, or these lie mostly in it."""
    mine, other = found.mask & errors, better.mask & errors
    both = (mine & other).sum()
    if both > overlap * (mine | other).sum():
        return True
    if found.rule.label:
        return bool(both > PART_OF_CLASS * mine.sum())
    return bool(both > PART * mine.sum() and found.density < PURER * better.density)


def propose(
    evidence: Evidence, *, slices: int = 8, clusters: int = 6, overlap: float = 0.4, given: Iterable[Proposal] = ()
) -> list[Proposal]:
    """The `slices` best distinct proposals of all sources and those `given`, by recoverable errors; empty where nothing
    fails."""
    if not evidence.errors.any():
        return []
    search, residual = _Search.over(evidence), excess(evidence.losses, evidence.classes)
    hard = evidence.frame.loc[evidence.errors, "label"].value_counts()
    found = [
        search.best(residual, "attributes", keep=24),
        *from_signatures(evidence, search, clusters),
        *from_repairs(evidence, search),
        *from_mixture(evidence, search),
        *from_features(evidence),
        given,
        *(search.best(residual, "class", keep=2, label=str(c)) for c in hard.index[:10] if hard[c] >= 10),
    ]
    distinct = _distinct([f for part in found for f in part if f.score > 0], evidence, overlap)
    return list(islice(distinct, slices))
