import copy
from typing import Any

from pipeline.report.report_page import ReportPage
from pipeline.report.sections.verdict_conditions import render
from tests.factory import planted
from tests.report.conftest import build_page


def test_a_promoted_run_shows_every_condition(page: ReportPage) -> None:
    html = str(render(page))
    assert html.count('class="state held"') == len(page["verdict"]["conditions"])
    assert "“Too dark, luminance at most 62.4, taken from 20:30 to 05:30” gained on val" in html
    assert 'href="#failure_slices"' in html
    assert "one seed was trained" in html


def test_a_refused_run_counts_the_failed_conditions() -> None:
    made = planted(sealed=True)
    failed = sum(not c["passed"] for c in made["verdict"]["conditions"])
    html = str(render(build_page(made)))
    assert f"{failed} of {len(made['verdict']['conditions'])} condition" in html
    assert html.count('class="state failed"') == failed


def test_a_condition_that_could_not_be_judged_is_not_called_failed(made: dict[str, Any]) -> None:
    record = copy.deepcopy(made["verdict"])
    record["conditions"][0] |= {"passed": None, "value": None, "threshold": None}
    html = str(render(build_page(made | {"verdict": record})))
    assert "not judged" in html
    assert "not met" not in html


def test_one_sided_bounds_and_two_sided_intervals_are_distinguished(
    made: dict[str, Any], quiet: dict[str, Any]
) -> None:
    html = str(render(build_page(made)))
    assert "“At least” is a one-sided lower bound at 97.5\u202f% on test" in html
    assert "one-sided" not in render(build_page(quiet))


def test_an_unnamed_cause_is_explained(page: ReportPage, quiet: dict[str, Any]) -> None:
    assert "“Cause unnamed” means" in render(page)
    assert "Cause unnamed" not in render(build_page(quiet))


def test_what_was_not_judged_stands_beside_what_would_decide_it(page: ReportPage) -> None:
    html = str(render(page))
    rows = html[html.index("Not judged") :]
    assert rows.count("<tr>") == 1 + len(page["verdict"]["limits"])
    assert "retrain.seeds=3" in rows
