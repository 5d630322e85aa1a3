from typing import Any

from pipeline.report.report_page import ReportPage
from pipeline.report.sections.error_overview import render
from tests.report.conftest import build_page


def test_a_run_without_a_slice_shows_where_the_errors_are(quiet: dict[str, Any]) -> None:
    html = str(render(build_page(quiet)))
    for heading in ("Least certain", "Unlike training"):
        assert heading in html
    assert "visitor</bdi> predicted as <bdi>employee" in html
    assert html.count("<figure>") > 12


def test_a_run_with_slices_or_without_errors_needs_no_such_section(
    page: ReportPage, quiet: dict[str, Any]
) -> None:
    assert render(page) == ""
    flips = quiet["flips"].assign(before=quiet["flips"]["label"])
    assert render(build_page(quiet | {"flips": flips})) == ""
