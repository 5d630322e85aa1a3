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


def format_least_gain(bound: float | None) -> str:
    """Return the lower bound of a gain, with what it means if it is a loss.

    >>> format_least_gain(0.031), format_least_gain(-0.02)
    ('at least +3.1 points', 'but it may as well be -2.0 points, a loss')
    """
    if bound is None:
        return "its least value is unknown"
    if bound < 0:
        return f"but it may as well be {format_gain(bound)}, a loss"
    return f"at least {format_gain(bound)}"


def format_alpha(alpha: float) -> str:
    """Return a level in percent, with as many digits as it needs.

    >>> format_alpha(0.025), format_alpha(0.05 / 6)
    ('2.5 %', '0.83 %')
    """
    return f"{100 * alpha:.2g} %"


def count_gained_images(gain: float) -> str:
    """Return a gain as images of a hundred.

    >>> count_gained_images(0.2), count_gained_images(-0.013)
    ('20.0 more are', '1.3 fewer are')
    """
    return f"{abs(100 * gain):.1f} {'fewer' if gain < 0 else 'more'} are"
