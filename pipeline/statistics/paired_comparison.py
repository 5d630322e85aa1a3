"""Did the second model do better than the first on the same images? By group, over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from pipeline.statistics.group_intervals import (
    MAX_REQUIRED_GROUPS,
    encode_groups,
    estimate_mean_variance,
    estimate_required_groups,
    sanitize_float,
    sum_by_group,
)
from pipeline.statistics.multiple_testing import adjust_holm


@dataclass(frozen=True)
class PairedGain:
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
    standard_error: float
    degrees_of_freedom: int

    @property
    def p_harm(self) -> float | None:
        """One-sided p of "the gain is not below zero"; None where it cannot be judged.

        Never below that of sign flips by group, 2^-groups: two groups that happen to lose alike prove nothing."""
        if not math.isfinite(self.standard_error):
            return None
        p = (
            float(stats.t.cdf(self.mean / self.standard_error, self.degrees_of_freedom))
            if self.standard_error > 0
            else float(self.mean >= 0)
        )
        return max(p, _compute_minimum_p(self.groups))

    def estimate_required_groups(self, target: float = 0.0, alpha: float = 0.05) -> int | None:
        """Groups that would show this gain to lie above target; None where it lies below, or no number would."""
        if not math.isfinite(self.standard_error) or self.mean <= target:
            return None
        number = estimate_required_groups(
            self.mean, target, self.standard_error**2 * self.groups, alpha
        )
        return number if number < MAX_REQUIRED_GROUPS else None

    def build_record(self) -> dict[str, Any]:
        """The gain as finite JSON; None where unknown. `within_noise`: the two-sided interval holds zero."""
        ends = {k: sanitize_float(getattr(self, k)) for k in ("mean", "low", "high", "bound")}
        counts = {
            "seeds": self.seeds,
            "groups": self.groups,
            "n": self.n,
            "seeds_judged": self.seeds_judged,
        }
        return {**ends, **counts, "within_noise": not (self.low > 0 or self.high < 0)}


def _estimate_difference_variance(differences: NDArray[np.float64], groups: ArrayLike) -> float:
    """Variance by group of the mean of differences [n], one more changed group counted on either side.

    Without that, three changed groups of a hundred would already be "significant". Source: the adjustment of
    Bonett and Price 2012 for paired proportions, carried over to groups."""
    changed = int((abs(sum_by_group(np.abs(differences), groups)) > 1e-12).sum())
    plain = estimate_mean_variance(differences, groups)
    return plain * (changed + 2) / changed if changed else plain + 2 / len(differences) ** 2


def _compute_minimum_p(group_count: int) -> float:
    """The smallest one-sided p that flipping the signs of whole groups can give."""
    return 0.5**group_count


def estimate_paired_gain(
    treated: ArrayLike, control: ArrayLike, groups: ArrayLike, alpha: float = 0.05
) -> PairedGain:
    """The gain of treated over control (correct: 0/1 [seeds, n] each), by group [n] and over seeds.

    bound = mean - t(1 - alpha, S - 1) sqrt(s^2 / S + variance by group), s: standard deviation of the seeds' gains.
    One seed: the variance by group alone with t(groups - 1), and seeds are not judged. The ends are -1 and 1 where so
    few groups could not show anything at their level: fewer than two, or 2^-groups above it.
    """
    d = np.atleast_2d(np.asarray(treated, dtype=np.float64)) - np.atleast_2d(
        np.asarray(control, dtype=np.float64)
    )
    seeds, n, count = d.shape[0], d.shape[1], encode_groups(groups)[1]
    if count < 2:
        mean = float(d.mean()) if n else math.nan
        return PairedGain(mean, -1.0, 1.0, -1.0, seeds, count, seeds > 1, n, math.inf, 1)
    mean, variance = float(d.mean()), _estimate_difference_variance(d.mean(0), groups)
    between = float(d.mean(1).var(ddof=1)) / seeds if seeds > 1 else 0.0
    df = seeds - 1 if seeds > 1 else count - 1
    error = math.sqrt(between + variance)
    one, two = (float(stats.t.ppf(1 - a, df)) * error for a in (alpha, alpha / 2))
    low, high = (
        (max(-1.0, mean - two), min(1.0, mean + two))
        if _compute_minimum_p(count) <= alpha / 2
        else (-1.0, 1.0)
    )
    bound = max(-1.0, mean - one) if _compute_minimum_p(count) <= alpha else -1.0
    return PairedGain(mean, low, high, bound, seeds, count, seeds > 1, n, error, df)


@dataclass(frozen=True)
class HarmMargins:
    """How much worse is not yet inferior, as shares; many: groups from which a class stands for itself; harm: the
    level at which harm to one class counts as shown, whatever the bounds may spend."""

    overall: float = 0.01
    by_class: float = 0.03
    many: int = 20
    harm: float = 0.05


DEFAULT_HARM_MARGINS = HarmMargins()


@dataclass(frozen=True)
class ClassChange:
    """status: not inferior | harmed | not assessable; p_harm: adjusted by Holm over all classes."""

    class_name: str
    gain: PairedGain
    p_harm: float | None
    status: str

    def build_record(self) -> dict[str, Any]:
        """The change as finite JSON."""
        return {
            "class": self.class_name,
            "status": self.status,
            "p_harm": sanitize_float(self.p_harm),
            **self.gain.build_record(),
        }


@dataclass(frozen=True)
class NonInferiorityResult:
    """overall and pooled (all small classes together; None where there are none) with their verdicts, and each class.

    One class speaks against the candidate only where its harm is shown; what cannot be judged does not."""

    overall_gain: PairedGain
    is_overall_non_inferior: bool
    pooled_gain: PairedGain | None
    is_pooled_non_inferior: bool | None
    class_changes: tuple[ClassChange, ...]
    is_every_class_unharmed: bool

    @property
    def is_non_inferior(self) -> bool:
        """Overall and by class."""
        return self.is_overall_non_inferior and self.is_every_class_unharmed

    def build_record(self) -> dict[str, Any]:
        """The judgement as finite JSON."""
        return {
            "passed": self.is_non_inferior,
            "overall": self.overall_gain.build_record(),
            "overall_passed": self.is_overall_non_inferior,
            "pooled": self.pooled_gain.build_record() if self.pooled_gain else None,
            "pooled_passed": self.is_pooled_non_inferior,
            "classes": [c.build_record() for c in self.class_changes],
            "classes_passed": self.is_every_class_unharmed,
        }


def _classify_change(gain: PairedGain, p: float, margins: HarmMargins) -> str:
    if p <= margins.harm:
        return "harmed"
    return (
        "not inferior"
        if gain.groups >= margins.many and gain.bound > -margins.by_class
        else "not assessable"
    )


def _assess_classes(
    class_gains: dict[str, PairedGain], margins: HarmMargins
) -> tuple[ClassChange, ...]:
    adjusted = adjust_holm([g.p_harm for g in class_gains.values()])
    return tuple(
        ClassChange(name, gain, sanitize_float(p), _classify_change(gain, p, margins))
        for (name, gain), p in zip(class_gains.items(), adjusted.tolist(), strict=True)
    )


def assess_non_inferiority(
    treated: ArrayLike,
    control: ArrayLike,
    labels: Sequence[str] | NDArray[Any],
    groups: ArrayLike,
    alpha: float = 0.05,
    margins: HarmMargins = DEFAULT_HARM_MARGINS,
) -> NonInferiorityResult:
    """Is treated not worse than control (correct: 0/1 [seeds, n]) overall and for each class (labels [n])?

    Overall: the lower bound lies above -margins.overall. Classes with fewer groups than margins.many are pooled and,
    where the pool has that many, its bound must lie above -margins.by_class. A single class fails it by shown harm.
    """
    t, c = (np.atleast_2d(np.asarray(v, dtype=np.float64)) for v in (treated, control))
    label, group = np.asarray(labels), np.asarray(groups)

    def over(mask: NDArray[np.bool_]) -> PairedGain:
        return estimate_paired_gain(t[:, mask], c[:, mask], group[mask], alpha)

    overall = over(np.ones(len(label), dtype=np.bool_))
    gains = {str(name): over(label == name) for name in np.unique(label)}
    small = np.isin(
        label, [name for name in np.unique(label) if gains[str(name)].groups < margins.many]
    )
    pooled = over(small) if small.any() else None
    judged = pooled is not None and pooled.groups >= margins.many
    pooled_passed = bool(pooled.bound > -margins.by_class) if pooled and judged else None
    classes = _assess_classes(gains, margins)
    passed = pooled_passed is not False and not any(k.status == "harmed" for k in classes)
    return NonInferiorityResult(
        overall, overall.bound > -margins.overall, pooled, pooled_passed, classes, passed
    )
