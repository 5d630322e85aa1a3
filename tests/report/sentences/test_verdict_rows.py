from typing import Any

import pytest

from pipeline.domain.statuses import ComparisonOutcome
from pipeline.report.report_page import ReportPage
from pipeline.report.sentences.verdict_rows import (
    build_comparison_rows,
    choose_banner_class,
    choose_outcome_text,
    describe_levels,
    has_unnamed_cause,
    list_subset_names,
)
from tests.report.conftest import build_page


def test_the_test_split_comes_first_with_every_subset(page: ReportPage) -> None:
    rows = build_comparison_rows(page)
    kinds = ["all", "planned", "slice", "slice", "others"]
    assert [row["subset_kind"] for row in rows] == kinds * 2
    assert [row["split"] for row in rows] == ["test"] * 5 + ["val"] * 5
    assert rows[2]["name"] == page.slices[0]["title"]
    assert rows[1]["n"] + rows[4]["n"] == rows[0]["n"]


def test_slices_and_splits_are_named_by_their_titles(page: ReportPage) -> None:
    names = list_subset_names(page)
    assert names.name_slice("s1") == f"“{page.slices[0]['title']}”"
    assert names.name_slice("s12") == "s12"
    assert names.name_split("val") == "validation"


def test_without_a_plan_only_all_images_are_compared(quiet: dict[str, Any]) -> None:
    rows = build_comparison_rows(build_page(quiet))
    assert [row["subset_kind"] for row in rows] == ["all"]


@pytest.mark.parametrize(
    ("is_promoted", "outcome", "css_class"),
    [
        (True, ComparisonOutcome.TESTED, "promoted"),
        (False, ComparisonOutcome.TESTED, "refused"),
        (False, ComparisonOutcome.USED_UP, "refused"),
        (False, ComparisonOutcome.NO_SLICE, "nothing"),
        (False, None, "refused"),
    ],
)
def test_every_outcome_has_a_banner_and_a_text(
    is_promoted: bool, outcome: ComparisonOutcome | None, css_class: str
) -> None:
    assert choose_banner_class(is_promoted, outcome) == css_class
    text = choose_outcome_text(is_promoted, outcome)
    assert (text.lower() == css_class) == (css_class != "nothing")


def test_gains_are_bounded_at_the_level_of_each_split(made: dict[str, Any]) -> None:
    comparison = made["comparison"] | {"test": made["comparison"]["test"] | {"alpha": 0.025}}
    levels = describe_levels(build_page(made | {"comparison": comparison}))
    assert levels == "97.5\u202f% on test and 95\u202f% on validation"


def test_a_slice_without_a_named_cause_is_noticed(page: ReportPage, quiet: dict[str, Any]) -> None:
    assert has_unnamed_cause(page)
    assert not has_unnamed_cause(build_page(quiet))
