import xml.etree.ElementTree as ET

import pytest

from pipeline.report.figures.charts import (
    LABEL_GAP,
    ChartLine,
    ChartMark,
    build_number_axis,
    build_percent_axis,
    build_share_axis,
    draw_line_chart,
    draw_sparkline,
)


@pytest.mark.parametrize(
    ("high", "last"), [(0.883, "1"), (800, "800"), (3.3, "4"), (1e-4, "0.0001"), (23456, "40,000")]
)
def test_axes_end_at_round_numbers(high: float, last: str) -> None:
    axis = build_number_axis(high, "")
    assert axis.high >= high * (1 - 1e-9)
    assert axis.ticks[-1][1] == last


@pytest.mark.parametrize(("low", "start"), [(0.61, 0.6), (0.59, 0.5), (-0.1, 0.0), (1.0, 0.95)])
def test_an_axis_of_shares_starts_below_the_lowest_value(low: float, start: float) -> None:
    assert build_share_axis(low).low == start


@pytest.mark.parametrize("low", [-0.1, 0.1, 0.33, 0.47, 0.55, 0.7, 0.85, 0.93, 0.999])
def test_an_axis_of_shares_has_whole_percents_up_to_a_hundred(low: float) -> None:
    axis = build_share_axis(low)
    percents = [int(text.removesuffix(" %")) for _, text in axis.ticks]
    assert [round(100 * value, 9) for value, _ in axis.ticks] == percents
    assert (percents[0], percents[-1]) == (100 * axis.low, 100)
    assert 4 <= len(percents) <= 6


def test_an_axis_of_percents_ends_above_the_largest_share() -> None:
    axis = build_percent_axis(0.33)
    assert axis.high == pytest.approx(0.4)
    assert [text for _, text in axis.ticks] == ["0 %", "10 %", "20 %", "30 %", "40 %"]


def test_a_chart_is_well_formed_labeled_and_escaped() -> None:
    names = ("<this & that>", "other")
    lines = [
        ChartLine(names[0], [(0, 0.2), (1, 0.9)]),
        ChartLine(names[1], [(0, 0.3), (1, 0.9)], "b"),
    ]
    svg = draw_line_chart(
        lines,
        build_number_axis(1, "step"),
        build_share_axis(),
        'a "chart"',
        [ChartMark(0.5, "kept")],
        has_gap_shading=True,
    )
    root = ET.fromstring(svg)
    texts = {element.text: float(element.attrib["y"]) for element in root.iter("text")}
    assert root.attrib["aria-label"] == 'a "chart"'
    assert {*names, "kept", "step"} <= set(texts)
    assert abs(texts[names[0]] - texts[names[1]]) == pytest.approx(LABEL_GAP)
    assert [path.get("class") for path in root.iter("path")].count("gap") == 1


def test_marks_that_are_close_are_labeled_in_two_rows() -> None:
    line = ChartLine("a", [(0, 0.2), (10, 0.9)])
    marks = [ChartMark(5.0, "first"), ChartMark(5.1, "second"), ChartMark(9.0, "third")]
    svg = draw_line_chart([line], build_number_axis(10, ""), build_share_axis(), "", marks)
    heights = {text.text: float(text.attrib["y"]) for text in ET.fromstring(svg).iter("text")}
    assert heights["second"] < heights["first"] == heights["third"]


def test_without_points_there_is_no_chart() -> None:
    axis = build_number_axis(1, "")
    assert draw_line_chart([ChartLine("a", [])], axis, build_share_axis(), "") == ""


def test_a_tight_axis_ends_where_the_data_end() -> None:
    axis = build_number_axis(23, "step", is_tight=True)
    assert axis.high == 23
    assert [text for _, text in axis.ticks] == ["0", "10", "20"]


def test_a_sparkline_has_gaps_and_needs_a_known_value() -> None:
    svg = ET.fromstring(draw_sparkline([1.0, None, 0.5, 0.0], "a < b"))
    path = svg.find(".//g/path")
    assert path is not None
    assert path.get("d") == "M0.0 0.0M66.7 13.0L100.0 26.0"
    assert svg.get("aria-label") == "a < b"
    assert draw_sparkline([], "") == draw_sparkline([None], "") == ""
