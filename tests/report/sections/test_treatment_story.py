import copy
from typing import Any

import numpy as np
import pandas as pd

from pipeline.report.report_page import ReportPage
from pipeline.report.sections.treatment_story import render
from tests.factory import SIMULATED
from tests.report.conftest import build_page

_DRAWN = [("h1", "s1", "badge", "gate", "exposure", 0.2)]


def test_the_story_tells_what_was_found_done_and_changed(page: ReportPage) -> None:
    html, changes = str(render(page)), page.flips["change"].value_counts()
    assert "At night (too dark)" in html
    assert f"{page['plan']['image_id'].nunique()} training images were also shown" in html
    assert f"{changes['fixed']} images are right that were wrong" in html
    assert f"{changes['broken']} wrong that were right" in html
    assert html.count("as taken") == 1
    assert "What the broken images share:" in html


def test_without_retraining_the_story_ends_with_the_cause(quiet: dict[str, Any]) -> None:
    assert render(build_page(quiet)) == "", "no slice, no story"


def test_simulated_images_are_stated_to_be_in_training_alone(made: dict[str, Any]) -> None:
    plan = made["plan"]
    drawn = plan.assign(simulator=pd.array(["gate"] * len(plan), dtype="str"))
    simulated = pd.DataFrame(_DRAWN, columns=list(SIMULATED)).astype(SIMULATED)
    pixels = np.full((1, 48, 48, 3), 9, np.uint8)
    artifacts = made | {"simulated": simulated, "simulated_pixels": pixels}
    html = str(render(build_page(artifacts | {"plan": drawn})))
    assert "the simulator gate drew" in html
    assert "none of these is in validation or test" in html
    assert "simulator" not in str(render(build_page(made)))


def test_parts_that_lose_are_shown_in_images_of_a_thousand(made: dict[str, Any]) -> None:
    comparison = copy.deepcopy(made["comparison"])
    part = comparison["test"]["safety"]["before"]["slice_classes"][0]
    part |= {"reference": 0.97, "treated": 0.62, "loss_probability": 0.999, "status": "harmed"}
    html = str(render(build_page(made | {"comparison": comparison})))
    assert '<b class="no">350 more wrong</b>' in html
    assert "over 99" in html
    assert "more right" in html


def test_a_slice_that_did_not_improve_is_named(made: dict[str, Any]) -> None:
    flips = made["flips"].assign(after=made["flips"]["before"])
    html = str(render(build_page(made | {"flips": flips})))
    assert "Not improved:" in html
    assert "Not improved:" not in str(
        render(build_page(made | {"explanations": made["explanations"].iloc[:1]}))
    )
