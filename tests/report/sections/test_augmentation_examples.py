from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.report.figures.augmentation_previews import build_previews
from pipeline.report.report_page import ReportPage
from pipeline.report.sections.augmentation_examples import render
from pipeline.report.slice_cards import summarize_remedy
from tests.factory import SIMULATED
from tests.report.conftest import build_page


def test_an_original_is_shown_beside_six_copies_with_their_strengths(page: ReportPage) -> None:
    html = str(render(page))
    preview = page.previews[0]
    assert preview.original_id in page.thumbnails
    assert html.count("<figure>") == 7
    assert [strength for strength, _ in preview.treated_copies][:1] == ["exposure x0.15"]
    assert all(strength in html for strength, _ in preview.treated_copies)
    light = [float(pixels.mean()) for _, pixels in preview.treated_copies]
    assert light == sorted(light)


def test_treated_images_are_closer_to_the_dark_slice(page: ReportPage) -> None:
    row = page.previews[0].attribute_quartiles.set_index("attribute").loc["luminance"]
    assert row["slice_mid"] < row["training_mid"]
    assert (
        abs(row["treated_mid"] - row["slice_mid"]) < abs(row["training_mid"] - row["slice_mid"]) / 2
    )
    assert "clearly closer to the slice than training images in" in render(page)


def test_copies_follow_the_privacy_setting(made: dict[str, Any]) -> None:
    assert "base64" not in render(build_page(made, "none"))


def test_without_a_plan_there_is_no_section(quiet: dict[str, Any]) -> None:
    assert render(build_page(quiet)) == ""


def test_simulated_images_are_labeled(made: dict[str, Any]) -> None:
    drawn = [(f"h{k}", "s1", "badge", "gate", "exposure", 0.15 + 0.02 * k) for k in range(8)]
    side, plan = made["pixels"].shape[1], made["plan"]
    made = made | {
        "plan": pd.concat(
            [plan, plan.assign(simulator=pd.array(["gate"] * len(plan), dtype="str"))]
        ),
        "simulated": pd.DataFrame(drawn, columns=list(SIMULATED)).astype(SIMULATED),
        "simulated_pixels": np.random.default_rng(0).integers(
            0, 60, (8, side, side, 3), dtype=np.uint8
        ),
    }
    treated, shown = sorted(build_previews(made, 0), key=lambda preview: preview.simulator)
    assert (treated.simulator, shown.simulator) == ("", "gate")
    assert [strength for strength, _ in shown.treated_copies] == sorted(
        strength for strength, _ in shown.treated_copies
    )
    assert all("badge" in strength for strength, _ in shown.treated_copies)
    html = str(render(replace(build_page(made), previews=[treated, shown])))
    assert html.count("Drawn by the simulator gate") == 1
    assert "never in validation or test" in html
    rows = summarize_remedy(build_page(made), "s1")["plan"]
    assert [row["simulator"] for row in rows] == ["gate", None]
