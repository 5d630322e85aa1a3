"""An anytime-valid test of a gain from groups that arrive over time.

The wealth of a bettor against "the mean gain is at most zero" is an e-process: whenever one looks
and however often, the probability that it ever exceeds 1 / alpha is at most alpha if there is no
gain (Ville's inequality). No look spends anything.

Source: Waudby-Smith and Ramdas 2024, estimating means of bounded random variables by betting
(aGRAPA bets); Ramdas, Grünwald, Vovk and Shafer 2023.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

MAX_BET_SHARE = 0.5
"""Largest part of what a bet could lose at once; half keeps the wealth above zero."""
PRIOR_VARIANCE = 0.25
"""Variance of a gain before any group was seen, which weighs as one group."""


@dataclass
class ArrivingEvidence:
    """Evidence that the mean of bounded values exceeds a null mean.

    >>> evidence = ArrivingEvidence()
    >>> for gain in [0.5] * 20:
    ...     evidence.add_group(gain)
    >>> evidence.e_value > 20
    True

    Attributes:
        null_mean: largest mean under the null hypothesis; minus a margin tests "not worse".
        low: lowest possible value.
        high: highest possible value.
        groups: groups seen.
        wealth: current value of the e-process.
        highest: highest value so far.
    """

    null_mean: float = 0.0
    low: float = -1.0
    high: float = 1.0
    groups: int = 0
    wealth: float = 1.0
    highest: float = 1.0
    _total: float = 0.0
    _squares: float = 0.0

    @property
    def e_value(self) -> float:
        """Return the highest wealth so far; 1 / e_value is an anytime-valid p-value."""
        return self.highest

    def add_group(self, gain: float) -> None:
        """Add the mean gain of one group that was not seen before.

        Raises:
            ValueError: the gain is outside the bounds.
        """
        if not self.low <= gain <= self.high:
            raise ValueError(f"a gain of {gain} is outside {self.low} to {self.high}")
        excess = gain - self.null_mean
        self.wealth *= 1 + self._choose_bet() * excess
        self.highest = max(self.highest, self.wealth)
        self.groups += 1
        self._total += excess
        self._squares += excess * excess

    def _choose_bet(self) -> float:
        """Return the bet on the next group, from the groups before it alone."""
        mean = self._total / (self.groups + 1)
        variance = (PRIOR_VARIANCE + self._squares) / (self.groups + 1)
        largest = MAX_BET_SHARE / (self.null_mean - self.low)
        return min(max(mean / variance, 0.0), largest)

    def is_shown(self, alpha: float) -> bool:
        """Return whether the mean is shown to exceed the null mean at level alpha."""
        return self.highest >= 1 / alpha


def compute_evidence_path(gains: ArrayLike, null_mean: float = 0.0) -> list[float]:
    """Return the wealth after each group, float [groups].

    Args:
        gains: mean gain of each group in order of arrival, from -1 to 1.
        null_mean: largest mean under the null hypothesis.
    """
    evidence = ArrivingEvidence(null_mean)
    path = []
    for gain in np.asarray(gains, dtype=np.float64).tolist():
        evidence.add_group(gain)
        path.append(evidence.wealth)
    return path
