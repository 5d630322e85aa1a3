"""Did the second model do better than the first on the same images? By group, over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from pipeline.evidence.intervals import MOST_GROUPS, codes, finite, group_sums, groups_needed, mean_variance
from pipeline.evidence.multiple import holm


@dataclass(frozen=True)
class McNemar:
    """Images fixed and broken, and the exact two-sided p of that split; shown, and decides nothing."""

    fixed: int
    broken: int
    p: float


def mcnemar(before_correct: ArrayLike, after_correct: ArrayLike) -> McNemar:
    """McNemar's exact test of two bool [n]; p is 1 where no image changed."""
    before, after = np.asarray(before_correct, dtype=np.bool_), np.asarray(after_correct, dtype=np.bool_)
    fixed, broken = int((~before & after).sum()), int((before & ~after).sum())
    p = float(stats.binomtest(fixed, fixed + broken, 0.5).pvalue) if fixed + broken else 1.0
    return McNemar(fixed, broken, p)


@dataclass(frozen=True)
class Gain:
    """mean: treated less control, as a share; low, high: two-sided 1 - alpha; bound: the one-sided lower bound at
    alpha; error: the standard error; seeds_judged: false where one seed cannot tell its own luck."""

    mean: float
    low: float
    high: float
    bound: float
    seeds: int
    groups: int
    seeds_judged: bool
    n: int
    error: float
    df: int

    @property
    def p_harm(self) -> float | None:
        """One-sided p of "the gain is not below zero"; None where it cannot be judged.

        Never below that of sign flips by group, 2^-groups: two groups that happen to lose alike prove nothing."""
        if not math.isfinite(self.error):
            return None
        p = float(stats.t.cdf(self.mean / self.error, self.df)) if self.error > 0 else float(self.mean >= 0)
        return max(p, _least_p(self.groups))

    def needed(self, target: float = 0.0, alpha: float = 0.05) -> int | None:
        """Groups that would show this gain to lie above target; None where it lies below, or no number would."""
        if not math.isfinite(self.error) or self.mean <= target:
            return None
        number = groups_needed(self.mean, target, self.error**2 * self.groups, alpha)
        return number if number < MOST_GROUPS else None

    def record(self) -> dict[str, Any]:
        """The gain as finite JSON; None where unknown. `within_noise`: the two-sided interval holds zero."""
        ends = {k: finite(getattr(self, k)) for k in ("mean", "low", "high", "bound")}
        counts = {"seeds": self.seeds, "groups": self.groups, "n": self.n, "seeds_judged": self.seeds_judged}
        return {**ends, **counts, "within_noise": not (self.low > 0 or self.high < 0)}


def _variance(d: NDArray[np.float64], groups: ArrayLike) -> float:
    """Variance by group of the mean of differences [n], one more changed group counted on either side.

    Without that, three changed groups of a hundred would already be "significant". Source: the adjustment of
    Bonett and Price 2012 for paired proportions, carried over to groups."""
    changed = int((abs(group_sums(np.abs(d), groups)) > 1e-12).sum())
    plain = mean_variance(d, groups)
    return plain * (changed + 2) / changed if changed else plain + 2 / len(d) ** 2


def _least_p(groups: int) -> float:
    """The smallest one-sided p that flipping the signs of whole groups can give."""
    return 0.5**groups


def paired_gain(treated: ArrayLike, control: ArrayLike, groups: ArrayLike, alpha: float = 0.05) -> Gain:
    """The gain of treated over control (correct: 0/1 [seeds, n] each), by group [n] and over seeds.

    bound = mean - t(1 - alpha, S - 1) sqrt(s^2 / S + variance by group), s: standard deviation of the seeds' gains.
    One seed: the variance by group alone with t(groups - 1), and seeds are not judged. The ends are -1 and 1 where so
    few groups could not show anything at their level: fewer than two, or 2^-groups above it.
    """
    d = np.atleast_2d(np.asarray(treated, dtype=np.float64)) - np.atleast_2d(np.asarray(control, dtype=np.float64))
    seeds, n, count = d.shape[0], d.shape[1], codes(groups)[1]
    if count < 2:
        mean = float(d.mean()) if n else math.nan
        return Gain(mean, -1.0, 1.0, -1.0, seeds, count, seeds > 1, n, math.inf, 1)
    mean, variance = float(d.mean()), _variance(d.mean(0), groups)
    between = float(d.mean(1).var(ddof=1)) / seeds if seeds > 1 else 0.0
    df = seeds - 1 if seeds > 1 else count - 1
    error = math.sqrt(between + variance)
    one, two = (float(stats.t.ppf(1 - a, df)) * error for a in (alpha, alpha / 2))
    low, high = (max(-1.0, mean - two), min(1.0, mean + two)) if _least_p(count) <= alpha / 2 else (-1.0, 1.0)
    bound = max(-1.0, mean - one) if _least_p(count) <= alpha else -1.0
    return Gain(mean, low, high, bound, seeds, count, seeds > 1, n, error, df)


@dataclass(frozen=True)
class Margins:
    """How much worse is not yet inferior, as shares; many: groups from which a class stands for itself; harm: the
    level at which harm to one class counts as shown, whatever the bounds may spend."""

    overall: float = 0.01
    by_class: float = 0.03
    many: int = 20
    harm: float = 0.05


MARGINS = Margins()


@dataclass(frozen=True)
class ClassChange:
    """status: not inferior | harmed | not assessable; p_harm: adjusted by Holm over all classes."""

    name: str
    gain: Gain
    p_harm: float | None
    status: str

    def record(self) -> dict[str, Any]:
        """The change as finite JSON."""
        return {"class": self.name, "status": self.status, "p_harm": finite(self.p_harm), **self.gain.record()}


@dataclass(frozen=True)
class NonInferiority:
    """overall and pooled (all small classes together; None where there are none) with their verdicts, and each class.

    One class speaks against the candidate only where its harm is shown; what cannot be judged does not."""

    overall: Gain
    overall_passed: bool
    pooled: Gain | None
    pooled_passed: bool | None
    classes: tuple[ClassChange, ...]
    classes_passed: bool

    @property
    def passed(self) -> bool:
        """Overall and by class."""
        return self.overall_passed and self.classes_passed

    def record(self) -> dict[str, Any]:
        """The judgement as finite JSON."""
        return {
            "passed": self.passed, "overall": self.overall.record(), "overall_passed": self.overall_passed,
            "pooled": self.pooled.record() if self.pooled else None, "pooled_passed": self.pooled_passed,
            "classes": [c.record() for c in self.classes], "classes_passed": self.classes_passed,
        }


def _status(gain: Gain, p: float, margins: Margins) -> str:
    if p <= margins.harm:
        return "harmed"
    return "not inferior" if gain.groups >= margins.many and gain.bound > -margins.by_class else "not assessable"


def _classes(gains: dict[str, Gain], margins: Margins) -> tuple[ClassChange, ...]:
    adjusted = holm([g.p_harm for g in gains.values()])
    return tuple(
        ClassChange(name, gain, finite(p), _status(gain, p, margins))
        for (name, gain), p in zip(gains.items(), adjusted.tolist(), strict=True)
    )


def non_inferiority(
    treated: ArrayLike,
    control: ArrayLike,
    labels: Sequence[str] | NDArray[Any],
    groups: ArrayLike,
    alpha: float = 0.05,
    margins: Margins = MARGINS,
) -> NonInferiority:
    """Is treated not worse than control (correct: 0/1 [seeds, n]) overall and for each class (labels [n])?

    Overall: the lower bound lies above -margins.overall. Classes with fewer groups than margins.many are pooled and,
    where the pool has that many, its bound must lie above -margins.by_class. A single class fails it by shown harm.
    """
    t, c = (np.atleast_2d(np.asarray(v, dtype=np.float64)) for v in (treated, control))
    label, group = np.asarray(labels), np.asarray(groups)

    def over(mask: NDArray[np.bool_]) -> Gain:
        return paired_gain(t[:, mask], c[:, mask], group[mask], alpha)

    overall = over(np.ones(len(label), dtype=np.bool_))
    gains = {str(name): over(label == name) for name in np.unique(label)}
    small = np.isin(label, [name for name in np.unique(label) if gains[str(name)].groups < margins.many])
    pooled = over(small) if small.any() else None
    judged = pooled is not None and pooled.groups >= margins.many
    pooled_passed = bool(pooled.bound > -margins.by_class) if pooled and judged else None
    classes = _classes(gains, margins)
    passed = pooled_passed is not False and not any(k.status == "harmed" for k in classes)
    return NonInferiority(overall, overall.bound > -margins.overall, pooled, pooled_passed, classes, passed)
