"""Numbers as a reader sees them: percent, points, intervals. Every function turns None into "–"."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

from markupsafe import Markup

MISSING_TEXT = "–"
MINUS_SIGN = "−"
NARROW_SPACE = "\u202f"  # narrow no-break space, before the percent sign
MIN_PRINTED_PROBABILITY = 0.001  # smaller p and q values differ by chance from run to run
SECONDS_PER_MINUTE = 60
SECONDS_PER_HOUR = 3600


def is_known(value: float | None) -> TypeGuard[float]:
    """Return whether `value` is a finite number: neither None nor NaN nor infinite."""
    return value is not None and math.isfinite(value)


def format_percent(share: float | None, digits: int = 1) -> str:
    """Return a share in [0, 1] as percent: 0.913 is "91.3 %"."""
    if not is_known(share):
        return MISSING_TEXT
    return f"{100 * share:.{digits}f}{NARROW_SPACE}%"


def format_signed(value: float | None, digits: int = 1) -> str:
    """Return a number with a plus or a true minus sign; zero has none.

    >>> format_signed(-2.04), format_signed(3, 0), format_signed(-0.01)
    ('−2.0', '+3', '0.0')
    """
    if not is_known(value):
        return MISSING_TEXT
    text = f"{abs(value):,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        return text
    return (MINUS_SIGN if value < 0 else "+") + text


def format_points(share: float | None) -> str:
    """Return a difference of shares in percentage points.

    >>> format_points(0.021)
    '+2.1 points'
    """
    return f"{format_signed(100 * share)} points" if is_known(share) else MISSING_TEXT


def format_interval(bounds: Sequence[float | None] | None, unit: str = "percent") -> str:
    """Return an interval of shares: "90.1 to 92.4 %", or "+1.2 to +3.4" for `unit` "points"."""
    if bounds is None or len(bounds) != 2:
        return MISSING_TEXT
    low, high = bounds
    if not is_known(low) or not is_known(high):
        return MISSING_TEXT
    if unit == "percent":
        return f"{100 * low:.1f} to {100 * high:.1f}{NARROW_SPACE}%"
    return f"{format_signed(100 * low)} to {format_signed(100 * high)}"


def format_confidence_level(alpha: float | None) -> str:
    """Return the confidence level of an interval or bound at `alpha`: 0.05 is "95 %"."""
    if not is_known(alpha):
        return MISSING_TEXT
    return f"{100 * (1 - alpha):.3g}{NARROW_SPACE}%"


def format_number(value: float | None, digits: int = 3) -> str:
    """Return a number of at most `digits` significant digits, with separated thousands.

    >>> format_number(12345), format_number(0.12345), format_number(-3.0)
    ('12,345', '0.123', '−3')
    """
    if not is_known(value):
        return MISSING_TEXT
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}".replace("-", MINUS_SIGN)
    return f"{value:.{digits}g}".replace("-", MINUS_SIGN)


def format_probability(value: float | None) -> str:
    """Return a p or q value: "0.034", or "< 0.001" if it is smaller."""
    if not is_known(value):
        return MISSING_TEXT
    return "< 0.001" if value < MIN_PRINTED_PROBABILITY else f"{value:.3f}"


def format_count(n: int, singular: str, plural: str | None = None) -> str:
    """Return a count with its noun.

    Args:
        n: the count.
        singular: noun for one.
        plural: noun for any other count; the singular with an "s" by default.

    >>> format_count(1, "image"), format_count(1200, "class", "classes")
    ('1 image', '1,200 classes')
    """
    return f"{n:,} {singular if n == 1 else plural or singular + 's'}"


def count_slice_states(slice_trends: Sequence[Mapping[str, Any]]) -> str:
    """Return how many slices are in each state, "1 back, 2 open"; empty without slices.

    Args:
        slice_trends: `slices` of the artifact `followed`.
    """
    states = Counter(str(trend["state"]) for trend in slice_trends)
    return ", ".join(f"{count} {state}" for state, count in states.items())


def format_duration(seconds: float | None) -> str:
    """Return a duration.

    >>> format_duration(0.42), format_duration(725), format_duration(7380)
    ('0.4 s', '12 min 5 s', '2 h 3 min')
    """
    if not is_known(seconds):
        return MISSING_TEXT
    if seconds < SECONDS_PER_MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole_seconds = round(seconds)
    minutes, rest = divmod(whole_seconds, SECONDS_PER_MINUTE)
    if whole_seconds < SECONDS_PER_HOUR:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def set_minus_signs(text: str) -> str:
    """Return `text` with true minus signs before its numbers.

    >>> set_minus_signs("at least -1.0 points; gate-2")
    'at least −1.0 points; gate-2'
    """
    return re.sub(r"(?<![\w.])-(?=\d)", MINUS_SIGN, text)


def format_sentence(text: str) -> str:
    """Return `text` with a capital first letter and a full stop."""
    text = text.strip()
    if not text:
        return ""
    end = "" if text[-1] in ".!?…" else "."
    return text[0].upper() + text[1:] + end


def format_plugin_name(name: str) -> str:
    """Return a plug-in's name as words: "local_contrast" is "local contrast"."""
    return name.replace("_", " ")


def format_rule(rule: str) -> str:
    """Return a rule in numbers with typographic signs: "luminance ≤ −1" for "luminance <= -1"."""
    return set_minus_signs(rule.replace("<=", "≤").replace(">=", "≥"))


def embed_json(value: Any) -> Markup:
    """Return `value` as JSON that cannot end the script element around it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    escapes: dict[str, str | int | None] = {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
    return Markup(text.translate(str.maketrans(escapes)))


TEMPLATE_FILTERS: Mapping[str, Callable[..., Any]] = {
    "percent": format_percent,
    "signed": format_signed,
    "points": format_points,
    "interval": format_interval,
    "confidence_level": format_confidence_level,
    "number": format_number,
    "probability": format_probability,
    "count": format_count,
    "duration": format_duration,
    "sentence": format_sentence,
    "plugin_name": format_plugin_name,
    "minus_signs": set_minus_signs,
}
