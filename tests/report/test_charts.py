import xml.etree.ElementTree as ET

import pytest

from pipeline.report import charts as c


@pytest.mark.parametrize(
    ("high", "last"), [(0.883, "1"), (800, "800"), (3.3, "4"), (1e-4, "0.0001"), (23456, "40,000")]
)
def test_axes_end_at_round_numbers(high: float, last: str) -> None:
    axis = c.build_number_axis(high, "")
    assert axis.high >= high * (1 - 1e-9)
    assert axis.ticks[-1][1] == last


def test_shares_start_below_the_lowest_value() -> None:
    assert c.build_share_axis(0.61).low == 0.6
    assert c.build_share_axis(0.59).low == 0.5
    assert c.build_share_axis(-0.1).low == 0.0
    assert c.build_share_axis(1.0).low == 0.95


@pytest.mark.parametrize("low", [-0.1, 0.1, 0.33, 0.47, 0.55, 0.7, 0.85, 0.93, 0.999])
def test_shares_are_marked_in_whole_percents_up_to_a_hundred(low: float) -> None:
    axis = c.build_share_axis(low)
    marks = [int(text.removesuffix(" %")) for _, text in axis.ticks]
    assert [round(100 * value, 9) for value, _ in axis.ticks] == marks
    assert (marks[0], marks[-1]) == (100 * axis.low, 100)
    assert 4 <= len(marks) <= 11


def test_the_drawing_is_well_formed_labeled_and_escaped() -> None:
    lines = [
        c.ChartLine("<this & that>", [(0, 0.2), (1, 0.9)]),
        c.ChartLine("other", [(0, 0.3), (1, 0.9)], "b"),
    ]
    svg = c.draw_line_chart(
        lines,
        c.build_number_axis(1, "step"),
        c.build_share_axis(),
        'says "it"',
        [c.ChartMark(0.5, "kept")],
        has_gap_shading=True,
    )
    root = ET.fromstring(svg)
    texts = [t.text for t in root.iter("text")]
    assert root.attrib["aria-label"] == 'says "it"'
    assert {"<this & that>", "other", "kept"} <= set(texts)
    ends = [float(t.attrib["y"]) for t in root.iter("text") if t.text in ("<this & that>", "other")]
    assert abs(ends[0] - ends[1]) > 14.9


def test_nothing_to_draw() -> None:
    assert (
        c.draw_line_chart(
            [c.ChartLine("a", [])], c.build_number_axis(1, ""), c.build_share_axis(), ""
        )
        == ""
    )


def test_a_tight_axis_ends_where_the_data_end() -> None:
    axis = c.build_number_axis(23, "step", is_tight=True)
    assert axis.high == 23
    assert [text for _, text in axis.ticks] == ["0", "10", "20"]


def test_a_spark_leaves_a_gap_where_nothing_is_known_and_is_nothing_without_a_value() -> None:
    svg = c.draw_sparkline([1.0, None, 0.5, 0.0], "a < b")
    path = ET.fromstring(svg).find(".//g/path")
    assert path is not None
    assert path.get("d") == "M0.0 0.0M66.7 13.0L100.0 26.0"
    assert ET.fromstring(svg).get("aria-label") == "a < b"
    assert c.draw_sparkline([], "") == c.draw_sparkline([None], "") == ""
