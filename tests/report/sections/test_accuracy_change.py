import copy
from typing import Any

from pipeline.report.number_format import format_percent
from pipeline.report.report_page import ReportPage
from pipeline.report.sections.accuracy_change import render
from tests.factory import planted
from tests.report.conftest import build_page


def test_before_and_after_with_the_paired_gain(page: ReportPage) -> None:
    html = str(render(page))
    overall = page["comparison"]["test"]["overall"]
    assert (
        f"{format_percent(overall['before']['value'])} right before and {format_percent(overall['targeted']['value'])} after"
        in html
    )
    assert "that is more than noise" in html
    assert "with two-sided 95\u202f% intervals by group" in html
    assert "its interval two-sided at" in html
    assert "one-sided lower bound (" in html
    assert html.count('class="reach"') == 8


def test_within_noise_is_said_plainly(made: dict[str, Any]) -> None:
    comparison = copy.deepcopy(made["comparison"])
    comparison["test"]["overall"]["gain"] |= {
        "mean": 0.01,
        "low": -0.02,
        "high": 0.04,
        "within_noise": True,
    }
    assert "<b>within noise</b>" in render(build_page(made | {"comparison": comparison}))


def test_harm_to_a_class_is_named(made: dict[str, Any]) -> None:
    comparison = copy.deepcopy(made["comparison"])
    comparison["test"]["non_inferiority"]["classes"][0] |= {"status": "harmed", "mean": -0.08}
    html = str(render(build_page(made | {"comparison": comparison})))
    assert "Harm shown for: <bdi>employee</bdi> (−8.0 points)" in html


def test_what_was_too_small_says_how_many_groups_would_do(page: ReportPage) -> None:
    html = str(render(page))
    assert "2 too small" in html
    assert ">31<" in html


def test_a_sealed_test_shows_validation_and_why() -> None:
    html = str(render(build_page(planted(sealed=True))))
    assert "still sealed: val has not passed." in html
    assert "On validation" in html


def test_no_repair_no_gain(quiet: dict[str, Any]) -> None:
    html = str(render(build_page(quiet)))
    assert "the model gets" in html
    assert "control" not in html.lower()


def test_generic_augmentation_stands_beside_the_repair_where_it_was_trained(
    made: dict[str, Any], page: ReportPage
) -> None:
    assert "generic augmentation" not in str(render(page)).lower()
    comparison = copy.deepcopy(made["comparison"])
    part = comparison["test"]["overall"]
    part["generic"], part["over_generic"] = (
        part["control"],
        part["gain"] | {"mean": 0.02, "within_noise": True},
    )
    html = str(render(build_page(made | {"comparison": comparison})))
    table = html[html.index("Against generic augmentation") :]
    assert "within noise" in table
    assert format_percent(part["control"]["value"]) in table


def test_weighed_errors_are_named(made: dict[str, Any]) -> None:
    cost = [{"label": "employee", "answer": "stranger", "cost": 0.1}]
    html = str(render(build_page(made | {"comparison": made["comparison"] | {"costs": cost}})))
    assert "<bdi>employee</bdi> read as <bdi>stranger</bdi> costs 10 % of the worst error" in html


def test_the_budget_of_every_arm_is_said(made: dict[str, Any]) -> None:
    arms = [
        {"arm": arm, "seeds": 5, "passes": 12_000, "rows": 900} for arm in ("control", "targeted")
    ]
    html = str(render(build_page(made | {"comparison": made["comparison"] | {"budget": arms}})))
    assert "control 12,000 image passes for each of 5 seeds, repaired 12,000" in html
