from typing import Any

from pipeline.report.report_page import ReportPage
from pipeline.report.sections import failure_slices, slice_trends
from tests.factory import planted
from tests.report.conftest import build_page


def test_each_slice_has_its_state_first_run_figures_and_trend(page: ReportPage) -> None:
    html = slice_trends.render(page)
    assert "1 back, 1 not assessable. The previous run was <bdi>r3</bdi>" in html
    assert '<span class="state failed">back</span>' in html
    assert "the data no longer has the column camera" in html.lower()
    assert html.count('class="spark"') == 2
    assert "error rate over 4 runs, from 50\u202f% to 55\u202f%" in html
    assert "before 0.0" in html
    assert '<a href="#slice-s1">s1 of this run</a>' in html


def test_a_confirmed_slice_names_its_first_run(page: ReportPage) -> None:
    html = failure_slices.render(page)
    assert "Known since run <bdi>r1</bdi>, now <b>back</b>" in html
    assert html.count("Known since run") == 1, "the other slice is not followed"


def test_a_first_run_has_no_section_and_a_later_one_without_slices_a_line(
    made: dict[str, Any],
) -> None:
    alone = build_page(
        {**made, "followed": {"previous": None, "reason": "no earlier run", "slices": []}}
    )
    assert slice_trends.render(alone) == ""
    assert "Known since" not in failure_slices.render(alone)
    quiet = slice_trends.render(
        build_page({**made, "followed": {"previous": "r1", "reason": None, "slices": []}})
    )
    assert "No run of this name has confirmed a slice." in quiet
    assert "<table" not in quiet


def test_hostile_words_are_escaped() -> None:
    html = slice_trends.render(build_page(planted(hostile=True)))
    assert "<script>" not in html
    assert "&lt;script&gt;window.hacked=1" in html
