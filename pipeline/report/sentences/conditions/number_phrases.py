"""Numbers in the sentences about conditions: gains in points and probabilities."""

from __future__ import annotations


def format_gain(share: float | None) -> str:
    """Return a difference of shares in percentage points, with an ASCII minus sign."""
    return "unknown" if share is None else f"{100 * share:+.1f} points"


def format_probability(probability: float) -> str:
    """Return a probability in percent, never as certain.

    >>> format_probability(0.123), format_probability(0.0001), format_probability(0.9999)
    ('12 %', 'under 1 %', 'over 99 %')
    """
    if probability < 0.01:
        return "under 1 %"
    return "over 99 %" if probability > 0.99 else f"{100 * probability:.0f} %"
