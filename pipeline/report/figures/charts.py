"""Line charts as SVG with direct labels, without script and inline style (colors come from CSS)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

# Units of the SVG's view box. The right margin holds the names of the lines, the top margin holds
# two rows of marks.
CHART_WIDTH = 520
CHART_HEIGHT = 250
LEFT_MARGIN = 52
RIGHT_MARGIN = 96
TOP_MARGIN = 34
BOTTOM_MARGIN = 40
PLOT_RIGHT = CHART_WIDTH - RIGHT_MARGIN
PLOT_BOTTOM = CHART_HEIGHT - BOTTOM_MARGIN
LABEL_GAP = 15.0  # least distance of two lines of text
MARK_ROW_HEIGHT = 15
MAX_DOTS = 40  # a line of more points is drawn without dots, which would run together
SPARKLINE_WIDTH = 100
SPARKLINE_HEIGHT = 26
SPARKLINE_PADDING = 4

_PERCENT_TICKS = (  # first tick and step in %; 4 to 6 ticks, the last at 100
    (95, 1),
    (90, 2),
    (80, 5),
    (60, 10),
    (50, 10),
    (40, 20),
    (20, 20),
    (0, 25),
)


@dataclass(frozen=True)
class ChartLine:
    """A line with its name at its end.

    Attributes:
        name: printed at the last point.
        points: (x, y) in data units.
        style: a, b, c or d, each with its own color and dashes.
    """

    name: str
    points: Sequence[tuple[float, float]]
    style: str = "a"


@dataclass(frozen=True)
class ChartAxis:
    """The axis of a chart.

    Attributes:
        low: value at its start.
        high: value at its end.
        ticks: (value, text) of each tick.
        title: printed beside the axis.
    """

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    title: str

    def scale_value(self, value: float, start: float, end: float) -> float:
        """Return the position of `value` on the axis drawn from `start` to `end`.

        Args:
            value: in data units.
            start: position of `low`, in units of the view box.
            end: position of `high`.
        """
        span = (self.high - self.low) or 1.0
        return round(start + (value - self.low) / span * (end - start), 1)


@dataclass(frozen=True)
class ChartMark:
    """A dashed vertical line at `x` with a label."""

    x: float
    label: str


@dataclass(frozen=True)
class ChartFrame:
    """The two axes of a chart, which map data units to the view box."""

    x: ChartAxis
    y: ChartAxis

    def scale_x(self, value: float) -> float:
        """Return the horizontal position of a value."""
        return self.x.scale_value(value, LEFT_MARGIN, PLOT_RIGHT)

    def scale_y(self, value: float) -> float:
        """Return the vertical position of a value."""
        return self.y.scale_value(value, PLOT_BOTTOM, TOP_MARGIN)

    def scale_points(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """Return the positions of (x, y) points."""
        return [(self.scale_x(x), self.scale_y(y)) for x, y in points]


def build_share_axis(low: float = 0.0) -> ChartAxis:
    """Return an axis of shares in whole percents, from a round share not above `low` to 100 %."""
    percent = max(100 * low, 0.0)
    start, step = next(ticks for ticks in _PERCENT_TICKS if ticks[0] <= percent)
    return ChartAxis(start / 100, 1.0, [(k / 100, f"{k} %") for k in range(start, 101, step)], "")


def build_number_axis(
    high: float, title: str, step_count: int = 4, is_tight: bool = False
) -> ChartAxis:
    """Return an axis from 0 to a round number not below `high`.

    Args:
        high: highest value to show.
        title: title of the axis.
        step_count: number of steps between the ticks.
        is_tight: end at `high` itself, with round ticks up to there.
    """
    raw_step = max(high, 1e-9) / step_count
    magnitude = 10.0 ** math.floor(math.log10(raw_step))
    step = magnitude
    for multiple in (1, 2, 2.5, 5, 10):
        step = float(multiple * magnitude)
        if step >= raw_step * (1 - 1e-9):
            break
    number_format = ",.0f" if step.is_integer() else ".4g"
    ticks = []
    for k in range(step_count + 1):
        if not is_tight or step * k <= high:
            ticks.append((step * k, format(step * k, number_format)))
    return ChartAxis(0.0, high if is_tight else step * step_count, ticks, title)


def build_percent_axis(max_share: float) -> ChartAxis:
    """Return an axis of shares from 0 to a round percentage not below `max_share`."""
    percent = build_number_axis(100 * max_share, "")
    ticks = [(value / 100, f"{text} %") for value, text in percent.ticks]
    return ChartAxis(0.0, percent.high / 100, ticks, "")


def _draw_tick_label(text: str, x: float, y: float, anchor: str) -> Markup:
    tick = Markup('<text class="tick" x="{}" y="{}" text-anchor="{}">{}</text>')
    return tick.format(x, y, anchor, text)


def _draw_axes(frame: ChartFrame) -> Markup:
    parts = []
    for value, text in frame.y.ticks:
        height = frame.scale_y(value)
        grid = Markup('<path class="grid" d="M{} {}H{}"/>')
        parts.append(grid.format(LEFT_MARGIN, height, PLOT_RIGHT))
        parts.append(_draw_tick_label(text, LEFT_MARGIN - 8, height + 4, "end"))
    for value, text in frame.x.ticks:
        parts.append(_draw_tick_label(text, frame.scale_x(value), PLOT_BOTTOM + 17, "middle"))
    title = Markup('<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>')
    parts.append(title.format(PLOT_RIGHT, CHART_HEIGHT - 5, frame.x.title))
    return Markup("").join(parts)


def _join_path(positions: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in positions)


def _draw_line(line: ChartLine, frame: ChartFrame, label_y: float) -> Markup:
    positions = frame.scale_points(line.points)
    dots = Markup("")
    if len(positions) <= MAX_DOTS:
        for x, y in positions:
            dots += Markup('<circle cx="{}" cy="{}" r="3"/>').format(x, y)
    body = Markup('<g class="line {}"><path d="{}"/>{}<text x="{}" y="{}">{}</text></g>')
    label_x = positions[-1][0] + 9
    return body.format(line.style, _join_path(positions), dots, label_x, label_y, line.name)


def draw_sparkline(shares: Sequence[float | None], alt_text: str) -> Markup:
    """Return a small unlabeled line of shares in [0, 1], from left to right.

    Args:
        shares: an unknown one (None) is a gap.
        alt_text: what it shows, in words.

    Returns:
        SVG; empty Markup if no share is known.
    """
    step = SPARKLINE_WIDTH / max(len(shares) - 1, 1)
    path, pen, last = "", "M", None
    for k, share in enumerate(shares):
        if share is None:
            pen = "M"
            continue
        last = (round(k * step, 1), round(SPARKLINE_HEIGHT * (1 - share), 1))
        path += f"{pen}{last[0]} {last[1]}"
        pen = "L"
    if last is None:
        return Markup("")
    sparkline = Markup(
        '<svg class="spark" viewBox="{0} {0} {1} {2}" role="img" aria-label="{3}">'
        '<path class="grid" d="M0 {4}H{5}"/>'
        '<g class="line a"><path d="{6}"/><circle cx="{7}" cy="{8}" r="3"/></g></svg>'
    )
    return sparkline.format(
        -SPARKLINE_PADDING,
        SPARKLINE_WIDTH + 2 * SPARKLINE_PADDING,
        SPARKLINE_HEIGHT + 2 * SPARKLINE_PADDING,
        alt_text,
        SPARKLINE_HEIGHT,
        SPARKLINE_WIDTH,
        path,
        *last,
    )


def _spread_labels(heights: list[float]) -> list[float]:
    """Return label heights moved apart so that none overlap, in the order of the lines.

    None is placed below the base line, where the axis has its own labels.
    """
    placed = list(heights)
    order = sorted(range(len(heights)), key=heights.__getitem__)
    last = -math.inf
    for k in order:
        last = placed[k] = max(heights[k], last + LABEL_GAP)
    lowest = PLOT_BOTTOM + 4.0
    for k in reversed(order):
        lowest = placed[k] = min(placed[k], lowest)
        lowest -= LABEL_GAP
    return placed


def _draw_mark(mark: ChartMark, row: int, frame: ChartFrame) -> Markup:
    body = Markup(
        '<path class="mark" d="M{0} {1}V{2}"/><text x="{0}" y="{3}" text-anchor="middle">{4}</text>'
    )
    top = TOP_MARGIN - MARK_ROW_HEIGHT * row
    return body.format(frame.scale_x(mark.x), top - 5, PLOT_BOTTOM, top - 9, mark.label)


def _draw_marks(marks: Sequence[ChartMark], frame: ChartFrame) -> Markup:
    """Return the marks; one close to an earlier mark is labeled a row higher."""
    min_distance = (frame.x.high - frame.x.low) / 4
    body = Markup("")
    for k, mark in enumerate(marks):
        is_close = any(abs(mark.x - other.x) < min_distance for other in marks[:k])
        body += _draw_mark(mark, int(is_close), frame)
    return body


def _shade_gap(lines: Sequence[ChartLine], frame: ChartFrame) -> Markup:
    outline = frame.scale_points([*lines[0].points, *reversed(lines[1].points)])
    return Markup('<path class="gap" d="{}Z"/>').format(_join_path(outline))


def draw_line_chart(
    lines: Sequence[ChartLine],
    x: ChartAxis,
    y: ChartAxis,
    alt_text: str,
    marks: Sequence[ChartMark] = (),
    has_gap_shading: bool = False,
) -> Markup:
    """Return lines as an SVG chart.

    Args:
        lines: those without points are left out.
        x: horizontal axis.
        y: vertical axis.
        alt_text: what the chart shows, in words.
        marks: vertical lines.
        has_gap_shading: shade the area between the first two lines.

    Returns:
        SVG; empty Markup without any point.
    """
    lines = [line for line in lines if line.points]
    if not lines:
        return Markup("")
    frame = ChartFrame(x, y)
    label_heights = _spread_labels([frame.scale_y(line.points[-1][1]) + 4 for line in lines])
    body = _draw_axes(frame)
    if has_gap_shading and len(lines) > 1:
        body += _shade_gap(lines, frame)
    body += _draw_marks(marks, frame)
    for line, label_y in zip(lines, label_heights, strict=True):
        body += _draw_line(line, frame, label_y)
    svg = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    return svg.format(CHART_WIDTH, CHART_HEIGHT, alt_text, body)
