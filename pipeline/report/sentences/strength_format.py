"""Strengths of remedies as a reader sees them, in their own units."""

from __future__ import annotations

from pipeline.remedies import StrengthFormat, describe_strength_range, split_strength_format
from pipeline.report.sentences.number_format import format_plugin_name, set_minus_signs


def _split_format(remedy: str) -> StrengthFormat:
    """Return the parts of the format; name and number for a remedy that is not installed."""
    try:
        return split_strength_format(remedy)
    except (KeyError, ImportError):
        return StrengthFormat(format_plugin_name(remedy), "", ".3g", "")


def format_strength(remedy: str, strength: float) -> str:
    """Return the number alone, as on the axis of a chart: "x2" for exposure, "40%" for shadow."""
    return set_minus_signs(_split_format(remedy).format_number(strength))


def describe_strength_axis(remedy: str) -> str:
    """Return the title of an axis of strengths, with their unit: "rotated by … degrees"."""
    parts = _split_format(remedy)
    return f"{parts.lead} …{parts.suffix}" if parts.suffix else parts.lead


def format_strength_range(remedy: str, low: float, high: float) -> str:
    """Return a remedy with a range of strengths: "exposure x0.15 to x0.4".

    Args:
        remedy: name of the plug-in.
        low: lowest strength.
        high: highest strength.
    """
    try:
        return set_minus_signs(describe_strength_range(remedy, low, high))
    except (KeyError, ImportError):
        numbers = dict.fromkeys((f"{low:.3g}", f"{high:.3g}"))
        return set_minus_signs(f"{format_plugin_name(remedy)} {' to '.join(numbers)}")


def format_remedy_strength(remedy: str, strength: float | None) -> str:
    """Return a remedy with its strength: "exposure x2"; its name alone for no strength."""
    if strength is None:
        return format_plugin_name(remedy)
    return format_strength_range(remedy, strength, strength)
