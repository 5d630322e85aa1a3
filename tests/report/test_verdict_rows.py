from typing import Any

from pipeline.report import verdict_rows as r
from pipeline.report.report_page import ReportPage
from tests.report.conftest import build_page


def test_the_test_split_comes_first_and_every_part_is_there(page: ReportPage) -> None:
    rows = r.build_comparison_rows(page)
    assert [row["what"] for row in rows] == ["all", "planned", "slice", "slice", "others"] * 2
    assert [row["split"] for row in rows] == ["test"] * 5 + ["val"] * 5
    assert rows[2]["name"] == "Too dark, taken from 21:00 to 05:00"
    assert rows[1]["n"] + rows[4]["n"] == rows[0]["n"]


def test_slices_are_called_by_their_words_and_no_longer_name_is_touched(page: ReportPage) -> None:
    said = r.replace_slice_names(page, "gain of s1 and s12")
    assert said == "gain of “Too dark, taken from 21:00 to 05:00” and s12"


def test_without_a_plan_only_the_whole_is_compared(quiet: dict[str, Any]) -> None:
    assert [row["what"] for row in r.build_comparison_rows(build_page(quiet))] == ["all"]


def test_outcomes_lose_their_prefix() -> None:
    assert r.strip_outcome("not promoted: val -1.0 points") == "val −1.0 points"


def test_gains_are_bounded_at_the_level_that_each_split_may_spend(
    page: ReportPage, made: dict[str, Any]
) -> None:
    comparison = made["comparison"] | {"test": made["comparison"]["test"] | {"alpha": 0.025}}
    assert (
        r.describe_levels(build_page(made | {"comparison": comparison}))
        == "97.5\u202f% on test and 95\u202f% on validation"
    )


def test_a_slice_without_a_proved_cause_is_known(page: ReportPage, quiet: dict[str, Any]) -> None:
    assert r.has_unnamed_cause(page)
    assert not r.has_unnamed_cause(build_page(quiet))
