from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.report.report_page import ReportPage
from pipeline.report.sections.calibration import compute_coverage_curve, render
from pipeline.report.sentences.number_format import format_percent
from pipeline.statistics.classification.selective_prediction import DeclineStatus
from tests.report.conftest import build_page


def test_the_curve_counts_errors_among_the_most_confident_images() -> None:
    table = pd.DataFrame(
        {"confidence": [0.5, 0.9, 0.8, 0.6], "correct": [False, True, True, False]}
    )
    curve = compute_coverage_curve(table)
    assert curve["coverage"].tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve["error"].tolist() == pytest.approx([0, 0, 1 / 3, 0.5])
    assert curve["threshold"].tolist() == [0.9, 0.8, 0.6, 0.5]
    assert compute_coverage_curve(table.iloc[:0]).empty


def test_diagram_error_temperature_and_decline_rule(page: ReportPage) -> None:
    html = str(render(page))
    assert html.count('<svg class="chart"') == 2
    for text in (
        "expected calibration error is 4.1",
        "temperature 1.31",
        "overconfident",
        "declines its 17",
        "0.71",
        "covers 83",
    ):
        assert text in html, text
    assert "60\u202f% to 80\u202f%" in html


def test_without_measurements_there_is_no_section(made: dict[str, Any]) -> None:
    empty = made["predictions"].iloc[:0]
    assert render(build_page(made | {"metrics": {}, "predictions": empty})) == ""


def test_no_threshold_is_good_enough(made: dict[str, Any]) -> None:
    rule = made["policy"]["decline"] | {"threshold": None, "error": None, "coverage": 0.0}
    html = str(render(build_page(made | {"policy": made["policy"] | {"decline": rule}})))
    assert "No threshold reduces the error rate" in html


def test_a_rule_that_is_left_out_is_explained(made: dict[str, Any]) -> None:
    rule = made["policy"]["decline"] | {"status": DeclineStatus.LEFT_OUT, "threshold": 0.0}
    html = str(render(build_page(made | {"policy": made["policy"] | {"decline": rule}})))
    assert "It answers every image: among 240 groups" in html
    comparison = deepcopy(made["comparison"])
    comparison["decline"]["targeted"] |= rule | {"is_refuted": True}
    html = str(render(build_page(made | {"comparison": comparison})))
    assert "on the test set the rule exceeded its target" in html


def test_a_correction_that_the_test_does_not_confirm_does_not_ship(made: dict[str, Any]) -> None:
    comparison = deepcopy(made["comparison"])
    for row in comparison["corrections"]["val"]:
        row["is_confirmed"] = False
    html = str(render(build_page(made | {"comparison": comparison})))
    assert "was not confirmed on the test set" in html


def test_each_model_has_its_own_rule_and_the_champion_is_marked(made: dict[str, Any]) -> None:
    rules = made["comparison"]["decline"]
    rules["targeted"] |= {"threshold": None, "coverage": 0.0, "error": None}
    html = str(render(build_page(made)))
    assert html.count("(champion)") == 1
    assert made["verdict"]["promoted"]
    assert "the model after (champion)" in html
    assert "declines every image: no threshold reduces its error rate to 2" in html
    assert "3.1\u202f%" in html, "the sealed test's error"


def test_a_correction_that_does_not_help_a_model_does_not_ship_with_it(page: ReportPage) -> None:
    html = str(render(page))
    assert "Exposure x2 where luminance ≤ 62.4, for the model before" in html
    assert "It helps on the test set too, and ships with this model" in html
    assert "It was not shown to help, and does not ship with this model" in html


def test_the_calibration_error_of_both_models_is_shown(page: ReportPage) -> None:
    html = str(render(page))
    arms = page["comparison"]["test"]["arms"]
    before, after = (
        format_percent(arms[arm][0]["calibration"]["ece"]) for arm in ("before", "targeted")
    )
    assert before != after
    assert f"on test {before} before and {after} after retraining" in html


def test_ten_thousand_images_make_a_short_curve(made: dict[str, Any]) -> None:
    many = pd.DataFrame({"confidence": np.linspace(0.5, 1, 10_000), "correct": True})
    assert len(render(build_page(made | {"predictions": many}))) < 12_000
