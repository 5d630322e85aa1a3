import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.report.report_page import ReportPage
from pipeline.report.sections.gate_verdict import render
from tests.factory import SIMULATED, planted
from tests.helpers.comparisons import make_foreseen
from tests.report.conftest import build_page

_DRAWN = [("h1", "s1", "badge", "gate", "exposure", 0.2)]
_SIMULATED = pd.DataFrame(_DRAWN, columns=list(SIMULATED)).astype(SIMULATED)
_PIXELS = np.full((1, 48, 48, 3), 9, np.uint8)


def test_a_promoted_run_shows_every_condition(page: ReportPage) -> None:
    html = str(render(page))
    assert 'class="banner promoted"' in html
    assert html.count('class="state held"') == len(page["verdict"]["conditions"])
    assert "“Too dark, taken from 21:00 to 05:00” gained on val" in html
    assert 'href="#failure_slices"' in html
    assert "another training was not tried" in html


def test_a_refused_run_counts_the_failed_conditions() -> None:
    made = planted(sealed=True)
    failed = sum(not c["passed"] for c in made["verdict"]["conditions"])
    html = str(render(build_page(made)))
    assert 'class="banner refused"' in html
    assert f"{failed} of {len(made['verdict']['conditions'])} failed" in html


@pytest.mark.parametrize(
    ("outcome", "word"),
    [("no failures", "Nothing to fix"), ("no slice", "No common cause"), ("used up", "Refused")],
)
def test_every_outcome_has_its_text(quiet: dict[str, Any], outcome: str, word: str) -> None:
    made = quiet | {"comparison": quiet["comparison"] | {"outcome": outcome}}
    assert f"</svg>{word}</h1>" in render(build_page(made))


def test_a_condition_that_could_not_be_judged_is_not_called_failed(made: dict[str, Any]) -> None:
    record = copy.deepcopy(made["verdict"])
    record["conditions"][0] |= {"passed": None, "value": None, "threshold": None}
    html = str(render(build_page(made | {"verdict": record})))
    assert "not judged" in html
    assert "failed" not in html


def test_one_sided_bounds_and_two_sided_intervals_are_distinguished(
    made: dict[str, Any], quiet: dict[str, Any]
) -> None:
    comparison = copy.deepcopy(made["comparison"])
    comparison["test"]["alpha"] = 0.025
    comparison["test"]["overall"]["gain"]["low"] = 0.01
    html = str(render(build_page(made | {"comparison": comparison})))
    assert "“At least” is a one-sided lower bound at 97.5\u202f% on test" in html
    assert "over control, 97.5\u202f% interval +1.0" in html
    assert "one-sided" not in render(build_page(quiet))


def test_an_unnamed_cause_is_explained(page: ReportPage, quiet: dict[str, Any]) -> None:
    assert "“Cause unnamed” means" in render(page)
    assert "Cause unnamed" not in render(build_page(quiet))


def test_the_change_is_one_sentence(page: ReportPage, quiet: dict[str, Any]) -> None:
    change = page.flips["change"].value_counts()
    treated = page["plan"]["image_id"].nunique()
    html = str(render(page))
    assert f"{treated} training images were also seen with exposure; of {len(page.flips)} " in html
    assert f"{change['fixed']} were fixed and {change['broken']} broken." in html
    assert "training images were" not in render(build_page(quiet))


def test_simulated_images_are_stated_to_be_in_training_alone(made: dict[str, Any]) -> None:
    plan = made["plan"]
    drawn = plan.assign(simulator=pd.array(["gate"] * len(plan), dtype="str"))
    for rows, shown in (
        (drawn, "seen with exposure drawn by the simulator gate; of"),
        (
            pd.concat([drawn, plan]),
            "seen with exposure or exposure drawn by the simulator gate; of",
        ),
    ):
        html = str(
            render(
                build_page(
                    made | {"plan": rows, "simulated": _SIMULATED, "simulated_pixels": _PIXELS}
                )
            )
        )
        assert shown in html
        assert "broken; no simulated image is in validation or test." in html
    assert "simulator" not in str(render(build_page(made)))


def test_parts_that_lose_are_shown_in_images_of_a_thousand(made: dict[str, Any]) -> None:
    comparison = copy.deepcopy(made["comparison"])
    part = comparison["test"]["safety"]["before"]["slice_classes"][0]
    part |= {"reference": 0.97, "treated": 0.62, "loss_probability": 0.999, "status": "harmed"}
    html = str(render(build_page(made | {"comparison": comparison})))
    assert '<b class="no">350 more wrong</b>' in html
    assert "over 99" in html
    assert "more right" in html


def test_a_promising_run_is_not_shown_as_refused(made: dict[str, Any]) -> None:
    verdict = copy.deepcopy(made["verdict"]) | {"promoted": False, "outcome": "promising on val"}
    verdict["foreseen"] = make_foreseen()
    comparison = made["comparison"] | {"outcome": "promising on val", "test": None}
    html = str(render(build_page(made | {"verdict": verdict, "comparison": comparison})))
    assert 'class="banner nothing"' in html
    assert "72 to 96 % correct on validation" in html


def test_a_class_that_training_never_saw_is_named_before_the_figures(made: dict[str, Any]) -> None:
    assert "training never saw" not in str(render(build_page(made)))
    images, splits = made["images"], made["splits"].copy()
    in_train = (splits["split"] == "train").to_numpy()
    label = images["label"].iloc[-1]
    members = images.loc[images["label"] == label, "image_id"]
    splits.loc[in_train & splits["image_id"].isin(members).to_numpy(), "split"] = "left_out"
    html = str(render(build_page(made | {"splits": splits})))
    assert f"training never saw ({label})" in html
    assert html.index("training never saw") < html.index('class="figures"')
