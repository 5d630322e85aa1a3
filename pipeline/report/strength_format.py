"""Strengths of remedies in their own units, composed from the `STRENGTH_FORMAT` of each plug-in."""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter

from pipeline.remedies import load_remedy
from pipeline.report.number_format import format_plugin_name, set_minus_signs


@dataclass(frozen=True)
class StrengthFormat:
    """The parts of a remedy's `STRENGTH_FORMAT`, such as "rotated by", "", ".3g" and " degrees".

    Attributes:
        lead: words before the number.
        prefix: characters that touch the number, such as the "x" of "exposure x2".
        number_format: format specification of the number; None if the text holds no number.
        suffix: everything after the number.
    """

    lead: str
    prefix: str
    number_format: str | None
    suffix: str


def _read_strength_format(remedy: str) -> str:
    """Return the plug-in's own format; its name and a number if it has none or is not installed."""
    default = format_plugin_name(remedy) + " {strength:.3g}"
    try:
        plugin = load_remedy(remedy)
    except (KeyError, ImportError):
        return default
    return str(getattr(plugin, "STRENGTH_FORMAT", default))


def split_strength_format(remedy: str) -> StrengthFormat:
    """Return the parts of a remedy's strength format."""
    pieces = list(Formatter().parse(_read_strength_format(remedy)))
    before, field, number_format, _ = pieces[0]
    if field is None:
        return StrengthFormat(before, "", None, "")
    lead, _, prefix = before.rpartition(" ")
    suffix = pieces[1][0] if len(pieces) > 1 else ""
    return StrengthFormat(lead, prefix, number_format or "", suffix)


def format_strength(remedy: str, strength: float) -> str:
    """Return the number alone, as on the axis of a chart: "x2" for exposure, "40%" for shadow."""
    parts = split_strength_format(remedy)
    if parts.number_format is None:
        return set_minus_signs(f"{strength:.3g}")
    return parts.prefix + set_minus_signs(format(strength, parts.number_format))


def describe_strength_axis(remedy: str) -> str:
    """Return the title of an axis of strengths, with their unit: "rotated by … degrees"."""
    parts = split_strength_format(remedy)
    return f"{parts.lead} …{parts.suffix}" if parts.suffix else parts.lead


def format_strength_range(remedy: str, low: float, high: float) -> str:
    """Return a remedy with a range of strengths: "exposure x0.15 to x0.4".

    Args:
        remedy: name of the plug-in.
        low: lowest strength.
        high: highest strength.
    """
    parts = split_strength_format(remedy)
    if parts.number_format is None:
        return parts.lead
    first, last = format_strength(remedy, low), format_strength(remedy, high)
    numbers = first if first == last else f"{first} to {last}"
    return f"{parts.lead} {numbers}{parts.suffix}".strip()


def format_remedy_strength(remedy: str, strength: float | None) -> str:
    """Return a remedy with its strength: "exposure x2"; its name alone for no strength."""
    if strength is None:
        return format_plugin_name(remedy)
    return format_strength_range(remedy, strength, strength)
