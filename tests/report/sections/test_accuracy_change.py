import copy
from typing import Any

from pipeline.domain.statuses import SeedOutcome
from pipeline.report.report_page import ReportPage
from pipeline.report.run_summary import build_summary
from pipeline.report.sections.accuracy_change import render
from pipeline.report.sentences.number_format import format_percent
from pipeline.report.summary_schema import RunSummary
from tests.factory import planted
from tests.report.conftest import build_page


def test_every_arm_has_its_accuracy_and_the_paired_gain(page: ReportPage) -> None:
    html = str(render(page))
    overall = page["comparison"]["test"]["overall"]
    before = format_percent(overall["before"]["value"])
    after = format_percent(overall["targeted"]["value"])
    assert f"accuracy was {before} before and {after} after retraining" in html
    assert "that is more than noise" in html
    assert "with two-sided 95\u202f% intervals by group" in html
    assert "its interval is two-sided at" in html
    assert "The lower bounds are one-sided (" in html
    assert "against the control" in html
    assert html.count('class="reach"') == 8


def test_a_gain_within_noise_is_called_so(made: dict[str, Any]) -> None:
    comparison = copy.deepcopy(made["comparison"])
    comparison["test"]["overall"]["gain"] |= {
        "mean": 0.01,
        "low": -0.02,
        "high": 0.04,
        "within_noise": True,
    }
    assert "<b>within noise</b>" in render(build_page(made | {"comparison": comparison}))


def test_underpowered_tests_show_the_groups_needed(page: ReportPage) -> None:
    html = str(render(page))
    assert "2 of 2 tests have too few groups" in html
    assert ">31<" in html


def test_a_sealed_test_shows_validation_and_why() -> None:
    html = str(render(build_page(planted(sealed=True))))
    assert "The test set is still sealed: " in html
    assert "On validation" in html


def test_without_a_targeted_arm_there_is_no_gain(quiet: dict[str, Any]) -> None:
    html = str(render(build_page(quiet)))
    assert "accuracy is " in html
    assert "control" not in html.lower()
    assert "targeted" not in html.lower()


def test_the_generic_arm_is_compared_if_it_was_trained(
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


def test_the_costs_of_errors_are_listed(made: dict[str, Any]) -> None:
    cost = [{"label": "employee", "answer": "stranger", "cost": 0.1}]
    html = str(render(build_page(made | {"comparison": made["comparison"] | {"costs": cost}})))
    assert (
        "<bdi>employee</bdi> predicted as <bdi>stranger</bdi> costs 10 % of the worst error" in html
    )


def test_the_budget_of_every_arm_is_listed(made: dict[str, Any]) -> None:
    arms = [
        {"arm": arm, "seeds": 5, "passes": 12_000, "rows": 900} for arm in ("control", "targeted")
    ]
    html = str(render(build_page(made | {"comparison": made["comparison"] | {"budget": arms}})))
    assert "control arm 12,000 image passes for each of 5 seeds, targeted arm 12,000" in html


def test_seeds_that_were_not_trained_are_explained(page: ReportPage) -> None:
    page["comparison"]["seeds"] = {
        "outcome": SeedOutcome.FUTILE,
        "trained": 2,
        "planned": 3,
        "conditional_power": 0.04,
        "passes": 9_000,
    }
    page["comparison"]["budget"] = [{"arm": "control", "seeds": 2, "passes": 2_250, "rows": 900}]
    assert "After 2 of 3 seeds the chance" in str(render(page))
    stages = RunSummary.model_validate(build_summary(page)).seeds
    assert stages is not None
    assert (stages.outcome, stages.trained) == (SeedOutcome.FUTILE, 2)
    assert stages.base_passes == page["training"]["passes"]
    page["comparison"].pop("seeds")
    assert build_summary(page)["seeds"] is None
