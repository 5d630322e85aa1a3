"""Previews of the plan: pipeline/report/figures/augmentation_previews.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.report.figures.augmentation_previews import (
    COPY_COUNT,
    MAX_MEASURED_IMAGES,
    MAX_PREVIEWS,
    TONED_COPY_COUNT,
    build_previews,
)

COUNT = 400
SIMULATED_COLUMNS = ["slice", "label", "simulator", "condition", "strength"]


@pytest.fixture
def artifacts() -> dict[str, Any]:
    """Return images of which the first half is dark, and a plan that darkens the other half."""
    rng = np.random.default_rng(0)
    ids = [f"i{row}" for row in range(COUNT)]
    pixels = rng.integers(100, 200, (COUNT, 16, 16, 3)).astype(np.uint8)
    pixels[: COUNT // 2] //= 4
    plan = pd.DataFrame({"image_id": ids[COUNT // 2 :], "slice": "s1", "remedy": "exposure"})
    plan = plan.assign(strength_low=0.15, strength_high=0.4, tone_share=0.0)
    return {
        "images": pd.DataFrame({"image_id": ids}),
        "pixels": pixels,
        "membership": pd.DataFrame({"image_id": [*ids[: COUNT // 2], "gone"], "slice": "s1"}),
        "plan": plan.assign(simulator=pd.array([None] * len(plan), dtype="str")),
        "simulated": pd.DataFrame(columns=SIMULATED_COLUMNS),
        "simulated_pixels": np.zeros((0, 16, 16, 3), np.uint8),
    }


def test_copies_show_the_range_of_strengths(artifacts: dict[str, Any]) -> None:
    (preview,) = build_previews(artifacts, 0)
    assert (preview.slice, preview.remedy, preview.simulator) == ("s1", "exposure", "")
    assert preview.original_id in set(artifacts["plan"]["image_id"])
    assert len(preview.treated_copies) == COPY_COUNT
    assert preview.treated_copies[0][0] == "exposure x0.15"
    light = [image.mean() for _, image in preview.treated_copies]
    assert light == sorted(light)
    counts = dict.fromkeys(("slice", "training", "treated"), MAX_MEASURED_IMAGES)
    assert preview.measured_counts == counts


def test_treated_images_are_nearer_to_the_slice(artifacts: dict[str, Any]) -> None:
    (preview,) = build_previews(artifacts, 0)
    row = preview.attribute_quartiles.set_index("attribute").loc["luminance"]
    assert abs(row["treated_mid"] - row["slice_mid"]) < abs(row["training_mid"] - row["slice_mid"])
    assert row["slice_low"] <= row["slice_mid"] <= row["slice_high"]


def test_equal_copies_are_shown_once(artifacts: dict[str, Any]) -> None:
    artifacts["plan"] = artifacts["plan"].assign(strength_low=0.25, strength_high=0.25)
    (preview,) = build_previews(artifacts, 0)
    assert [text for text, _ in preview.treated_copies] == ["exposure x0.25"]


def test_copies_with_the_tones_of_the_slice_are_shown_too(artifacts: dict[str, Any]) -> None:
    artifacts["plan"] = artifacts["plan"].assign(tone_share=0.5)
    (preview,) = build_previews(artifacts, 0)
    assert len(preview.treated_copies) == COPY_COUNT + TONED_COPY_COUNT
    for _, copy in preview.treated_copies[COPY_COUNT:]:
        assert 25 <= copy.min() <= copy.max() < 50, "the gray levels of the slice"


def test_simulated_images_are_shown_by_their_strength(artifacts: dict[str, Any]) -> None:
    rows = [("s1", "badge", "gate", "exposure", 0.4 - 0.02 * number) for number in range(8)]
    artifacts["simulated"] = pd.DataFrame(rows, columns=SIMULATED_COLUMNS)
    artifacts["simulated_pixels"] = np.full((8, 16, 16, 3), 30, np.uint8)
    artifacts["plan"] = artifacts["plan"].assign(simulator="gate")
    (preview,) = build_previews(artifacts, 0)
    assert preview.simulator == "gate"
    texts = [text for text, _ in preview.treated_copies]
    assert texts == sorted(texts)
    assert len(texts) == COPY_COUNT
    assert all(text.endswith(", badge") for text in texts)
    assert preview.measured_counts["treated"] == 8


def test_the_number_of_previews_is_limited(artifacts: dict[str, Any]) -> None:
    plans = []
    for number in range(MAX_PREVIEWS + 3):
        plans.append(artifacts["plan"].head(2).assign(slice=f"s{number:02d}"))
    artifacts["plan"] = pd.concat(plans, ignore_index=True)
    assert len(list(build_previews(artifacts, 0))) == MAX_PREVIEWS


def test_an_empty_plan_has_no_preview(artifacts: dict[str, Any]) -> None:
    artifacts["plan"] = artifacts["plan"].iloc[:0]
    assert list(build_previews(artifacts, 0)) == []
