"""Line charts as SVG: direct labels, no script, no inline style (colours come from the page's CSS classes)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 520, 250
SPARK = (100, 26)  # width and height of a line in a table
LEFT, RIGHT, TOP, BOTTOM = 52, 96, 34, 40
_STARTS = ((95, 1), (90, 2), (80, 5), (60, 10), (50, 10), (40, 20), (20, 20), (0, 25))  # first tick and step, in %


@dataclass(frozen=True)
class Line:
    """A line with its name at its end; points are (x, y) in data units; tone is one of a, b, c, d (each
    with its own colour and dashes)."""

    name: str
    points: Sequence[tuple[float, float]]
    tone: str = "a"


@dataclass(frozen=True)
class Axis:
    """low, high in data units; ticks are (value, text); name stands at the axis."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    name: str

    def at(self, value: float, start: float, end: float) -> float:
        """Where `value` lies between the pixels `start` and `end`."""
        span = (self.high - self.low) or 1.0
        return round(start + (value - self.low) / span * (end - start), 1)


@dataclass(frozen=True)
class Mark:
    """A dashed vertical line at x with a word."""

    x: float
    text: str


def shares(low: float = 0.0) -> Axis:
    """An axis of shares up to 100 %, from the highest of `_STARTS` that is not above `low`; whole percentages."""
    start, step = next(pair for pair in _STARTS if pair[0] <= max(100 * low, 0.0))
    return Axis(start / 100, 1.0, [(s / 100, f"{s} %") for s in range(start, 101, step)], "")


def numbers(high: float, name: str, steps: int = 4, tight: bool = False) -> Axis:
    """An axis from 0 to a round number not below `high`; tight: to `high` itself, with round ticks up to there."""
    raw = max(high, 1e-9) / steps
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(float(m * size) for m in (1, 2, 2.5, 5, 10) if m * size >= raw * (1 - 1e-9))
    form = ",.0f" if step.is_integer() else ".4g"
    ticks = [(step * k, format(step * k, form)) for k in range(steps + 1) if not tight or step * k <= high]
    return Axis(0.0, high if tight else step * steps, ticks, name)


def _frame(x: Axis, y: Axis) -> Markup:
    right, base = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for value, text in y.ticks:
        h = y.at(value, base, TOP)
        parts.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(LEFT, h, right))
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>').format(LEFT - 8, h + 4, text)
        )
    for value, text in x.ticks:
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                x.at(value, LEFT, right), base + 17, text
            )
        )
    parts.append(
        Markup('<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>').format(right, HEIGHT - 5, x.name)
    )
    return Markup("").join(parts)


def _line(line: Line, x: Axis, y: Axis, label: float) -> Markup:
    right, base = WIDTH - RIGHT, HEIGHT - BOTTOM
    places = [(x.at(a, LEFT, right), y.at(b, base, TOP)) for a, b in line.points]
    path = "M" + "L".join(f"{a} {b}" for a, b in places)
    dots = Markup("").join(Markup('<circle cx="{}" cy="{}" r="3"/>').format(a, b) for a, b in places[:40])
    body = Markup('<g class="line {}"><path d="{}"/>{}').format(line.tone, path, dots if len(places) <= 40 else "")
    return body + Markup('<text x="{}" y="{}">{}</text></g>').format(places[-1][0] + 9, label, line.name)


def spark(values: Sequence[float | None], alt: str) -> Markup:
    """A small line of shares in [0, 1], from left to right, unlabelled; what is unknown (None) is a gap. `alt` says in
    words what it shows. Empty Markup where nothing is known."""
    step = SPARK[0] / max(len(values) - 1, 1)
    places = [(round(k * step, 1), None if v is None else round(SPARK[1] * (1 - v), 1)) for k, v in enumerate(values)]
    known = [(x, y) for x, y in places if y is not None]
    if not known:
        return Markup("")
    path, pen = "", "M"
    for x, y in places:
        path, pen = (path, "M") if y is None else (f"{path}{pen}{x} {y}", "L")
    head = Markup('<svg class="spark" viewBox="-4 -4 {} {}" role="img" aria-label="{}">').format(
        SPARK[0] + 8, SPARK[1] + 8, alt
    )
    base = Markup('<path class="grid" d="M0 {0}H{1}"/>').format(SPARK[1], SPARK[0])
    line = Markup('<g class="line a"><path d="{}"/><circle cx="{}" cy="{}" r="3"/></g>').format(path, *known[-1])
    return head + base + line + Markup("</svg>")


def _spread(heights: list[float], gap: float = 15.0) -> list[float]:
    """Label heights moved apart so that none overlap, in their order."""
    placed = dict.fromkeys(range(len(heights)), 0.0)
    last = -1e9
    order = sorted(range(len(heights)), key=heights.__getitem__)
    for k in order:
        last = placed[k] = max(heights[k], last + gap)
    below = HEIGHT - BOTTOM + 4.0  # none lies under the base line, where the axis has its own words
    for k in reversed(order):
        below = placed[k] = min(placed[k], below)
        below -= gap
    return [placed[k] for k in range(len(heights))]


def _mark(mark: Mark, row: int, x: Axis) -> Markup:
    at = x.at(mark.x, LEFT, WIDTH - RIGHT)
    body = '<path class="mark" d="M{0} {1}V{2}"/><text x="{0}" y="{3}" text-anchor="middle">{4}</text>'
    return Markup(body).format(at, TOP - 5 - 15 * row, HEIGHT - BOTTOM, TOP - 9 - 15 * row, mark.text)


def _gap(lines: Sequence[Line], x: Axis, y: Axis) -> Markup:
    right, base = WIDTH - RIGHT, HEIGHT - BOTTOM
    around = [*lines[0].points, *reversed(lines[1].points)]
    path = "L".join(f"{x.at(a, LEFT, right)} {y.at(b, base, TOP)}" for a, b in around)
    return Markup('<path class="gap" d="M{}Z"/>').format(path)


def line_chart(
    lines: Sequence[Line], x: Axis, y: Axis, alt: str, marks: Sequence[Mark] = (), gap: bool = False
) -> Markup:
    """An SVG of `lines`; `alt` says in words what it shows; `gap` shades what lies between the first two.

    Empty Markup where there is nothing to draw.
    """
    lines = [line for line in lines if line.points]
    if not lines:
        return Markup("")
    base = HEIGHT - BOTTOM
    ends = _spread([y.at(line.points[-1][1], base, TOP) + 4 for line in lines])
    body = [_frame(x, y), _gap(lines, x, y) if gap and len(lines) > 1 else Markup("")]
    near = [any(abs(m.x - n.x) < (x.high - x.low) / 4 for n in marks[:k]) for k, m in enumerate(marks)]
    body += [_mark(mark, int(row), x) for mark, row in zip(marks, near, strict=True)]
    body += [_line(line, x, y, end) for line, end in zip(lines, ends, strict=True)]
    head = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, alt)
    return head + Markup("").join(body) + Markup("</svg>")
