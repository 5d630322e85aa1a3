"""Paired comparison of two models on the same images, by group and over seeds."""

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
    """The gain of one model over another, as a share.

    Attributes:
        mean: treated less control.
        low: lower end of the two-sided 1 - alpha interval.
        high: upper end of that interval.
        bound: one-sided lower bound at alpha.
        seeds: number of seeds.
        groups: number of groups.
        seeds_judged: whether the variance over seeds is known; one seed does not show it.
        n: number of images.
        standard_error: standard error of the mean.
        degrees_of_freedom: degrees of freedom of Student's t.
    """

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
        """Return the one-sided p-value of "the gain is not below zero"; None if it is unknown.

        It is at least 2^-groups, the least that sign flips by group can give: two groups that
        happen to lose together prove nothing.
        """
        if not math.isfinite(self.standard_error):
            return None
        p = (
            float(stats.t.cdf(self.mean / self.standard_error, self.degrees_of_freedom))
            if self.standard_error > 0
            else float(self.mean >= 0)
        )
        return max(p, _compute_minimum_p(self.groups))

    def estimate_required_groups(self, target: float = 0.0, alpha: float = 0.05) -> int | None:
        """Return how many groups would show a gain above `target`; None if no number would."""
        if not math.isfinite(self.standard_error) or self.mean <= target:
            return None
        number = estimate_required_groups(
            self.mean, target, self.standard_error**2 * self.groups, alpha
        )
        return number if number < MAX_REQUIRED_GROUPS else None

    def build_record(self) -> dict[str, Any]:
        """Return the gain as finite JSON. `within_noise`: zero is in the interval."""
        ends = {k: sanitize_float(getattr(self, k)) for k in ("mean", "low", "high", "bound")}
        counts = {
            "seeds": self.seeds,
            "groups": self.groups,
            "n": self.n,
            "seeds_judged": self.seeds_judged,
        }
        return {**ends, **counts, "within_noise": not (self.low > 0 or self.high < 0)}


def _estimate_difference_variance(differences: NDArray[np.float64], groups: ArrayLike) -> float:
    """Return the variance by group of the mean of differences [n].

    One more changed group is counted on either side. Otherwise three changed groups of a hundred
    would already be significant.

    Source: the adjustment of Bonett and Price 2012 for paired proportions, applied to groups.
    """
    changed = int((abs(sum_by_group(np.abs(differences), groups)) > 1e-12).sum())
    plain = estimate_mean_variance(differences, groups)
    return plain * (changed + 2) / changed if changed else plain + 2 / len(differences) ** 2


def _compute_minimum_p(group_count: int) -> float:
    """Return the smallest one-sided p-value that flipping the signs of whole groups can give.

    >>> _compute_minimum_p(3)
    0.125
    """
    return 0.5**group_count


def estimate_paired_gain(
    treated: ArrayLike, control: ArrayLike, groups: ArrayLike, alpha: float = 0.05
) -> PairedGain:
    """Return the gain of treated over control, by group and over seeds.

    bound = mean - t(1 - alpha, S - 1) sqrt(s^2 / S + variance by group), with s the standard
    deviation of the gains of the S seeds. With one seed the variance by group alone is used, with
    t(groups - 1), and seeds are not judged. The ends are -1 and 1 if so few groups could not show
    anything at their level: fewer than two, or 2^-groups above it.

    Args:
        treated: correctness or utility of each prediction, [seeds, n].
        control: the same of the other model, [seeds, n].
        groups: the group of each image, [n].
        alpha: level of the bound; the interval covers 1 - alpha.

    >>> groups = np.repeat(np.arange(20), 2)
    >>> gain = estimate_paired_gain(np.ones(40), np.arange(40) % 4 > 0, groups)
    >>> gain.mean, gain.groups, gain.bound > 0
    (0.25, 20, True)
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
    one = float(stats.t.ppf(1 - alpha, df)) * error
    two = float(stats.t.ppf(1 - alpha / 2, df)) * error
    low, high = (
        (max(-1.0, mean - two), min(1.0, mean + two))
        if _compute_minimum_p(count) <= alpha / 2
        else (-1.0, 1.0)
    )
    bound = max(-1.0, mean - one) if _compute_minimum_p(count) <= alpha else -1.0
    return PairedGain(mean, low, high, bound, seeds, count, seeds > 1, n, error, df)


@dataclass(frozen=True)
class HarmMargins:
    """How much worse a model may be before it counts as inferior, as shares.

    Attributes:
        overall: margin over all images.
        by_class: margin of a class.
        many: fewest groups of a class that is judged by itself.
        harm: level at which harm to one class counts as shown, whatever the bounds may spend.
    """

    overall: float = 0.01
    by_class: float = 0.03
    many: int = 20
    harm: float = 0.05


DEFAULT_HARM_MARGINS = HarmMargins()


@dataclass(frozen=True)
class ClassChange:
    """The change of one class.

    Attributes:
        class_name: name of the class.
        gain: its gain.
        p_harm: p-value of harm, adjusted by Holm over all classes.
        status: not inferior | harmed | not assessable.
    """

    class_name: str
    gain: PairedGain
    p_harm: float | None
    status: str

    def build_record(self) -> dict[str, Any]:
        """Return the change as finite JSON."""
        return {
            "class": self.class_name,
            "status": self.status,
            "p_harm": sanitize_float(self.p_harm),
            **self.gain.build_record(),
        }


@dataclass(frozen=True)
class NonInferiorityResult:
    """Whether a model is not inferior to another, overall and by class.

    A class counts against the model only if its harm is shown.

    Attributes:
        overall_gain: gain over all images.
        is_overall_non_inferior: whether its bound exceeds the margin.
        pooled_gain: gain over all small classes together; None without small classes.
        is_pooled_non_inferior: the same for them; None if they cannot be judged.
        class_changes: the change of each class.
        is_every_class_unharmed: whether no class is shown to be harmed.
    """

    overall_gain: PairedGain
    is_overall_non_inferior: bool
    pooled_gain: PairedGain | None
    is_pooled_non_inferior: bool | None
    class_changes: tuple[ClassChange, ...]
    is_every_class_unharmed: bool

    @property
    def is_non_inferior(self) -> bool:
        """Return whether the model is not inferior, overall and by class."""
        return self.is_overall_non_inferior and self.is_every_class_unharmed

    def build_record(self) -> dict[str, Any]:
        """Return the result as finite JSON."""
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
    """Test whether treated is not worse than control, overall and for each class.

    Overall, the lower bound must exceed -margins.overall. Classes with fewer groups than
    margins.many are pooled. If the pool has that many groups, its bound must exceed
    -margins.by_class. A single class counts against treated if its harm is shown.

    Args:
        treated: correctness or utility of each prediction, [seeds, n].
        control: the same of the other model, [seeds, n].
        labels: the class of each image, [n].
        groups: the group of each image, [n].
        alpha: level of the bounds.
        margins: margins and levels.
    """
    t = np.atleast_2d(np.asarray(treated, dtype=np.float64))
    c = np.atleast_2d(np.asarray(control, dtype=np.float64))
    label = np.asarray(labels)
    group = np.asarray(groups)

    def estimate_gain(mask: NDArray[np.bool_]) -> PairedGain:
        return estimate_paired_gain(t[:, mask], c[:, mask], group[mask], alpha)

    overall = estimate_gain(np.ones(len(label), dtype=np.bool_))
    gains = {str(name): estimate_gain(label == name) for name in np.unique(label)}
    small = np.isin(
        label, [name for name in np.unique(label) if gains[str(name)].groups < margins.many]
    )
    pooled = estimate_gain(small) if small.any() else None
    is_pool_tested = pooled is not None and pooled.groups >= margins.many
    pooled_passed = bool(pooled.bound > -margins.by_class) if pooled and is_pool_tested else None
    classes = _assess_classes(gains, margins)
    passed = pooled_passed is not False and not any(k.status == "harmed" for k in classes)
    return NonInferiorityResult(
        overall, overall.bound > -margins.overall, pooled, pooled_passed, classes, passed
    )
