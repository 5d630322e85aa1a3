"""Numbers as the report says them: percent, points, intervals; every function takes None and says "–"."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

MISSING_TEXT = "–"
MINUS_SIGN = "−"
NARROW_SPACE = "\u202f"  # a narrow space that does not break, before the percent sign


def is_known(value: Any) -> bool:
    """Whether there is a value at all: neither None nor NaN."""
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def format_percent(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as percent: 0.913 is "91.3 %"."""
    return (
        f"{100 * share:.{digits}f}{NARROW_SPACE}%"
        if share is not None and is_known(share)
        else MISSING_TEXT
    )


def format_signed(value: float | None, digits: int = 1) -> str:
    """A number with its sign, true minus and plus; zero has none."""
    if value is None or not is_known(value):
        return MISSING_TEXT
    text = f"{abs(value):,.{digits}f}"
    return text if float(text.replace(",", "")) == 0 else (MINUS_SIGN if value < 0 else "+") + text


def format_points(share: float | None) -> str:
    """A difference of shares in percentage points: 0.021 is "+2.1 points"."""
    return (
        f"{format_signed(100 * share)} points"
        if share is not None and is_known(share)
        else MISSING_TEXT
    )


def format_interval(bounds: Sequence[float | None] | None, unit: str = "percent") -> str:
    """An interval of shares as "90.1 to 92.4 %" (kind percent) or "+1.2 to +3.4" (kind points)."""
    if bounds is None or len(bounds) != 2 or not all(is_known(b) for b in bounds):
        return MISSING_TEXT
    low, high = (100 * float(b or 0) for b in bounds)
    return (
        f"{low:.1f} to {high:.1f}{NARROW_SPACE}%"
        if unit == "percent"
        else f"{format_signed(low)} to {format_signed(high)}"
    )


def format_confidence_level(alpha: float | None) -> str:
    """How sure an interval or bound at `alpha` is: 0.05 is "95 %"."""
    return (
        f"{100 * (1 - alpha):.3g}{NARROW_SPACE}%"
        if alpha is not None and is_known(alpha)
        else MISSING_TEXT
    )


def format_number(value: float | None, digits: int = 3) -> str:
    """A number of at most `digits` significant digits, thousands set apart."""
    if value is None or not is_known(value):
        return MISSING_TEXT
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}".replace("-", MINUS_SIGN)
    return f"{value:.{digits}g}".replace("-", MINUS_SIGN)


def format_probability(value: float | None) -> str:
    """A p or q value: "0.034", or "< 0.001" where it is smaller."""
    if value is None or not is_known(value):
        return MISSING_TEXT
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def format_count(n: int, singular: str, plural: str | None = None) -> str:
    """A count with its noun: "1 image", "12 images"."""
    return f"{n:,} {singular if n == 1 else plural or singular + 's'}"


def count_slice_states(slice_trends: Sequence[Mapping[str, Any]]) -> str:
    """How many slices of `followed` are in which state: "1 back, 2 open"; empty for none."""
    states = Counter(str(track["state"]) for track in slice_trends)
    return ", ".join(f"{n} {state}" for state, n in states.items())


def format_duration(value: float | None) -> str:
    """A duration: "0.4 s", "38 s", "12 min 5 s", "2 h 3 min"."""
    if value is None or not is_known(value):
        return MISSING_TEXT
    if value < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    whole = round(value)
    return (
        f"{whole // 60} min {whole % 60} s"
        if whole < 3600
        else f"{whole // 3600} h {whole % 3600 // 60} min"
    )


def set_minus_signs(text: str) -> str:
    """`text` with true minus signs before its numbers."""
    return re.sub(r"(?<![\w.])-(?=\d)", MINUS_SIGN, text)


def format_sentence(text: str) -> str:
    """`text` with a capital first letter and a full stop."""
    text = text.strip()
    return text and text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")


def format_plugin_name(name: str) -> str:
    """A plugin's name as words: "local_contrast" is "local contrast"."""
    return name.replace("_", " ")


def embed_json(value: Any) -> Markup:
    """`value` as JSON that cannot end the script element it stands in."""
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
    "level": format_confidence_level,
    "number": format_number,
    "probability": format_probability,
    "count": format_count,
    "seconds": format_duration,
    "sentence": format_sentence,
    "words": format_plugin_name,
    "minus": set_minus_signs,
}
