"""The steps of the remedy on the page: pipeline/report/sections/remedy_steps.py."""

from __future__ import annotations

from typing import Any

from pipeline.report.report_page import ReportPage
from pipeline.report.run_summary import build_summary
from pipeline.report.sections.remedy_steps import render
from tests.report.conftest import build_page


def _make_part(mean: float) -> dict[str, Any]:
    gain = {"mean": mean, "low": mean - 0.04, "high": mean + 0.04}
    return {"n": 90, "groups": 30, "value": 0.8, "gain": gain, "added": gain}


def _make_ladder() -> list[dict[str, Any]]:
    first = {"step": "real images", "share": None, "slices": _make_part(0.31)}
    second = {"step": "interpolation", "share": 0.4, "slices": _make_part(0.35)}
    return [first | {"outside": None}, second | {"outside": _make_part(0.01)}]


def test_steps_show_their_gain_with_its_interval(made: dict[str, Any]) -> None:
    halves = [{"images": 20, "groups": 7}, {"images": 24, "groups": 9}]
    comparison = made["comparison"] | {
        "ladder": _make_ladder(),
        "real_images": {"halves": halves, "groups": ["ab"]},
    }
    page = build_page(made | {"comparison": comparison})
    html = str(render(page))
    assert html.count("<tr>") == 3
    assert "+35.0" in html
    assert "20 images of 7 groups" in html
    summary = build_summary(page)
    assert [row["step"] for row in summary["ladder"]] == ["real images", "interpolation"]
    assert summary["real_images"] == halves


def test_a_run_without_candidates_has_no_steps(page: ReportPage) -> None:
    page["comparison"].pop("ladder", None)
    assert str(render(page)) == ""
