"""Line charts as SVG: direct labels, no script, no inline style (colors come from the page's CSS classes)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

CHART_WIDTH, CHART_HEIGHT = 520, 250
SPARKLINE_SIZE = (100, 26)  # width and height of a line in a table
LEFT_MARGIN, RIGHT_MARGIN, TOP_MARGIN, BOTTOM_MARGIN = 52, 96, 34, 40
_PERCENT_TICKS = (
    (95, 1),
    (90, 2),
    (80, 5),
    (60, 10),
    (50, 10),
    (40, 20),
    (20, 20),
    (0, 25),
)  # first tick and step, in %


@dataclass(frozen=True)
class ChartLine:
    """A line with its name at its end; points are (x, y) in data units; tone is one of a, b, c, d (each
    with its own color and dashes)."""

    name: str
    points: Sequence[tuple[float, float]]
    style: str = "a"


@dataclass(frozen=True)
class ChartAxis:
    """low, high in data units; ticks are (value, text); name stands at the axis."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    title: str

    def scale_value(self, value: float, start: float, end: float) -> float:
        """Where `value` lies between the pixels `start` and `end`."""
        span = (self.high - self.low) or 1.0
        return round(start + (value - self.low) / span * (end - start), 1)


@dataclass(frozen=True)
class ChartMark:
    """A dashed vertical line at x with a word."""

    x: float
    label: str


def build_share_axis(low: float = 0.0) -> ChartAxis:
    """An axis of shares up to 100 %, from the highest of `_STARTS` that is not above `low`; whole percentages."""
    start, step = next(pair for pair in _PERCENT_TICKS if pair[0] <= max(100 * low, 0.0))
    return ChartAxis(start / 100, 1.0, [(s / 100, f"{s} %") for s in range(start, 101, step)], "")


def build_number_axis(
    high: float, title: str, step_count: int = 4, is_tight: bool = False
) -> ChartAxis:
    """An axis from 0 to a round number not below `high`; tight: to `high` itself, with round ticks up to there."""
    raw = max(high, 1e-9) / step_count
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(float(m * size) for m in (1, 2, 2.5, 5, 10) if m * size >= raw * (1 - 1e-9))
    form = ",.0f" if step.is_integer() else ".4g"
    ticks = [
        (step * k, format(step * k, form))
        for k in range(step_count + 1)
        if not is_tight or step * k <= high
    ]
    return ChartAxis(0.0, high if is_tight else step * step_count, ticks, title)


def _draw_axes(x: ChartAxis, y: ChartAxis) -> Markup:
    right, base = CHART_WIDTH - RIGHT_MARGIN, CHART_HEIGHT - BOTTOM_MARGIN
    parts = []
    for value, text in y.ticks:
        h = y.scale_value(value, base, TOP_MARGIN)
        parts.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(LEFT_MARGIN, h, right))
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>').format(
                LEFT_MARGIN - 8, h + 4, text
            )
        )
    for value, text in x.ticks:
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                x.scale_value(value, LEFT_MARGIN, right), base + 17, text
            )
        )
    parts.append(
        Markup('<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>').format(
            right, CHART_HEIGHT - 5, x.title
        )
    )
    return Markup("").join(parts)


def _draw_line(line: ChartLine, x: ChartAxis, y: ChartAxis, label_y: float) -> Markup:
    right, base = CHART_WIDTH - RIGHT_MARGIN, CHART_HEIGHT - BOTTOM_MARGIN
    places = [
        (x.scale_value(a, LEFT_MARGIN, right), y.scale_value(b, base, TOP_MARGIN))
        for a, b in line.points
    ]
    path = "M" + "L".join(f"{a} {b}" for a, b in places)
    dots = Markup("").join(
        Markup('<circle cx="{}" cy="{}" r="3"/>').format(a, b) for a, b in places[:40]
    )
    body = Markup('<g class="line {}"><path d="{}"/>{}').format(
        line.style, path, dots if len(places) <= 40 else ""
    )
    return body + Markup('<text x="{}" y="{}">{}</text></g>').format(
        places[-1][0] + 9, label_y, line.name
    )


def draw_sparkline(shares: Sequence[float | None], alt_text: str) -> Markup:
    """A small line of shares in [0, 1], from left to right, unlabeled; what is unknown (None) is a gap. `alt` says in
    words what it shows. Empty Markup where nothing is known."""
    step = SPARKLINE_SIZE[0] / max(len(shares) - 1, 1)
    places = [
        (round(k * step, 1), None if v is None else round(SPARKLINE_SIZE[1] * (1 - v), 1))
        for k, v in enumerate(shares)
    ]
    known = [(x, y) for x, y in places if y is not None]
    if not known:
        return Markup("")
    path, pen = "", "M"
    for x, y in places:
        path, pen = (path, "M") if y is None else (f"{path}{pen}{x} {y}", "L")
    head = Markup('<svg class="spark" viewBox="-4 -4 {} {}" role="img" aria-label="{}">').format(
        SPARKLINE_SIZE[0] + 8, SPARKLINE_SIZE[1] + 8, alt_text
    )
    base = Markup('<path class="grid" d="M0 {0}H{1}"/>').format(
        SPARKLINE_SIZE[1], SPARKLINE_SIZE[0]
    )
    line = Markup('<g class="line a"><path d="{}"/><circle cx="{}" cy="{}" r="3"/></g>').format(
        path, *known[-1]
    )
    return head + base + line + Markup("</svg>")


def _spread_labels(heights: list[float], min_gap: float = 15.0) -> list[float]:
    """Label heights moved apart so that none overlap, in their order."""
    placed = dict.fromkeys(range(len(heights)), 0.0)
    last = -1e9
    order = sorted(range(len(heights)), key=heights.__getitem__)
    for k in order:
        last = placed[k] = max(heights[k], last + min_gap)
    below = (
        CHART_HEIGHT - BOTTOM_MARGIN + 4.0
    )  # none lies under the base line, where the axis has its own words
    for k in reversed(order):
        below = placed[k] = min(placed[k], below)
        below -= min_gap
    return [placed[k] for k in range(len(heights))]


def _draw_mark(mark: ChartMark, row: int, x: ChartAxis) -> Markup:
    at = x.scale_value(mark.x, LEFT_MARGIN, CHART_WIDTH - RIGHT_MARGIN)
    body = (
        '<path class="mark" d="M{0} {1}V{2}"/><text x="{0}" y="{3}" text-anchor="middle">{4}</text>'
    )
    return Markup(body).format(
        at,
        TOP_MARGIN - 5 - 15 * row,
        CHART_HEIGHT - BOTTOM_MARGIN,
        TOP_MARGIN - 9 - 15 * row,
        mark.label,
    )


def _shade_gap(lines: Sequence[ChartLine], x: ChartAxis, y: ChartAxis) -> Markup:
    right, base = CHART_WIDTH - RIGHT_MARGIN, CHART_HEIGHT - BOTTOM_MARGIN
    around = [*lines[0].points, *reversed(lines[1].points)]
    path = "L".join(
        f"{x.scale_value(a, LEFT_MARGIN, right)} {y.scale_value(b, base, TOP_MARGIN)}"
        for a, b in around
    )
    return Markup('<path class="gap" d="M{}Z"/>').format(path)


def draw_line_chart(
    lines: Sequence[ChartLine],
    x: ChartAxis,
    y: ChartAxis,
    alt_text: str,
    marks: Sequence[ChartMark] = (),
    has_gap_shading: bool = False,
) -> Markup:
    """An SVG of `lines`; `alt` says in words what it shows; `gap` shades what lies between the first two.

    Empty Markup where there is nothing to draw.
    """
    lines = [line for line in lines if line.points]
    if not lines:
        return Markup("")
    base = CHART_HEIGHT - BOTTOM_MARGIN
    ends = _spread_labels(
        [y.scale_value(line.points[-1][1], base, TOP_MARGIN) + 4 for line in lines]
    )
    body = [
        _draw_axes(x, y),
        _shade_gap(lines, x, y) if has_gap_shading and len(lines) > 1 else Markup(""),
    ]
    near = [
        any(abs(m.x - n.x) < (x.high - x.low) / 4 for n in marks[:k]) for k, m in enumerate(marks)
    ]
    body += [_draw_mark(mark, int(row), x) for mark, row in zip(marks, near, strict=True)]
    body += [_draw_line(line, x, y, end) for line, end in zip(lines, ends, strict=True)]
    head = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        CHART_WIDTH, CHART_HEIGHT, alt_text
    )
    return head + Markup("").join(body) + Markup("</svg>")
