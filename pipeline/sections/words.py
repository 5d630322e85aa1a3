"""Numbers as the report says them: percent, points, intervals; every function takes None and says "–"."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

DASH = "–"
MINUS = "−"
NARROW = "\u202f"  # a narrow space that does not break, before the percent sign


def known(value: Any) -> bool:
    """Whether there is a value at all: neither None nor NaN."""
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def percent(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as percent: 0.913 is "91.3 %"."""
    return f"{100 * share:.{digits}f}{NARROW}%" if share is not None and known(share) else DASH


def signed(value: float | None, digits: int = 1) -> str:
    """A number with its sign, true minus and plus; zero has none."""
    if value is None or not known(value):
        return DASH
    text = f"{abs(value):,.{digits}f}"
    return text if float(text.replace(",", "")) == 0 else (MINUS if value < 0 else "+") + text


def points(share: float | None) -> str:
    """A difference of shares in percentage points: 0.021 is "+2.1 points"."""
    return f"{signed(100 * share)} points" if share is not None and known(share) else DASH


def interval(bounds: Sequence[float | None] | None, kind: str = "percent") -> str:
    """An interval of shares as "90.1 to 92.4 %" (kind percent) or "+1.2 to +3.4" (kind points)."""
    if bounds is None or len(bounds) != 2 or not all(known(b) for b in bounds):
        return DASH
    low, high = (100 * float(b or 0) for b in bounds)
    return f"{low:.1f} to {high:.1f}{NARROW}%" if kind == "percent" else f"{signed(low)} to {signed(high)}"


def level(alpha: float | None) -> str:
    """How sure an interval or bound at `alpha` is: 0.05 is "95 %"."""
    return f"{100 * (1 - alpha):.3g}{NARROW}%" if alpha is not None and known(alpha) else DASH


def number(value: float | None, digits: int = 3) -> str:
    """A number of at most `digits` significant digits, thousands set apart."""
    if value is None or not known(value):
        return DASH
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}".replace("-", MINUS)
    return f"{value:.{digits}g}".replace("-", MINUS)


def probability(value: float | None) -> str:
    """A p or q value: "0.034", or "< 0.001" where it is smaller."""
    if value is None or not known(value):
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def count(n: int, one: str, many: str | None = None) -> str:
    """A count with its noun: "1 photo", "12 photos"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def counted(tracks: Sequence[Mapping[str, Any]]) -> str:
    """How many slices of `followed` are in which state: "1 back, 2 open"; empty for none."""
    states = Counter(str(track["state"]) for track in tracks)
    return ", ".join(f"{n} {state}" for state, n in states.items())


def seconds(value: float | None) -> str:
    """A duration: "0.4 s", "38 s", "12 min 5 s", "2 h 3 min"."""
    if value is None or not known(value):
        return DASH
    if value < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    whole = round(value)
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def minus(text: str) -> str:
    """`text` with true minus signs before its numbers."""
    return re.sub(r"(?<![\w.])-(?=\d)", MINUS, text)


def sentence(text: str) -> str:
    """`text` with a capital first letter and a full stop."""
    text = text.strip()
    return text and text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")


def title(name: str) -> str:
    """A plugin's name as words: "local_contrast" is "local contrast"."""
    return name.replace("_", " ")


def embed(value: Any) -> Markup:
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


FILTERS: Mapping[str, Callable[..., Any]] = {
    "percent": percent,
    "signed": signed,
    "points": points,
    "interval": interval,
    "level": level,
    "number": number,
    "probability": probability,
    "count": count,
    "seconds": seconds,
    "sentence": sentence,
    "words": title,
    "minus": minus,
}
