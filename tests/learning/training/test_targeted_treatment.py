"""The treatment of batches and the repetition of images by a plan."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.training.targeted_treatment import (
    SimulatedImages,
    build_targeted_treatment,
    is_last_layer_only,
    repeat_planned_images,
)
from pipeline.remedies import apply_remedy

PLAN_COLUMNS = ["image_id", "slice", "remedy", "strength_low", "strength_high", "probability"]


def _create_plan(
    image_ids: Iterable[str], *recipes: tuple[str, float, float, float]
) -> pd.DataFrame:
    """Return a plan with one slice for each recipe (remedy, low, high, probability)."""
    rows = []
    for image_id in image_ids:
        for number, recipe in enumerate(recipes):
            rows.append((image_id, f"s{number}", *recipe))
    return pd.DataFrame(rows, columns=PLAN_COLUMNS).assign(simulator=None, tone_share=0.0)


def _create_image_table(count: int) -> pd.DataFrame:
    image_ids = [f"i{row}" for row in range(count)]
    return pd.DataFrame({"image_id": image_ids, "label": ["a", "b"] * (count // 2)})


def _create_training_images() -> TrainingImages:
    pixels = np.full((4, 8, 8, 3), 200, np.uint8)
    return TrainingImages(pixels, np.array([0, 1, 3]), np.array([0, 1, 0]))


def test_strengths_are_drawn_by_the_probabilities_of_the_plan() -> None:
    plan = _create_plan(["i0", "i1"], ("exposure", 0.25, 0.25, 0.3), ("exposure", 0.5, 0.5, 0.5))
    treatment = build_targeted_treatment(plan, _create_image_table(4), apply_remedy)
    rows = np.repeat([0, 3], 500)
    treated = treatment(rows, np.full((1000, 8, 8, 3), 200, np.uint8), 7)
    level = treated.mean((1, 2, 3)).round(-1)
    assert (level[500:] == 200).all(), "an image without a plan stays as it is"
    shares = {value: float((level[:500] == value).mean()) for value in (50, 100, 200)}
    assert shares == pytest.approx({50: 0.3, 100: 0.5, 200: 0.2}, abs=0.07)


def test_a_share_of_the_views_gets_the_tones_of_images_that_are_at_hand() -> None:
    plan = _create_plan(["i0"], ("exposure", 0.5, 0.5, 0.8)).assign(tone_share=0.25)
    treatment = build_targeted_treatment(plan, _create_image_table(2), apply_remedy)
    rows, pixels = np.zeros(1000, np.intp), np.full((1000, 8, 8, 3), 200, np.uint8)
    toned = replace(treatment, tone_images={"s0": np.full((1, 8, 8, 3), 30, np.uint8)})
    for treated, expected in (
        (toned(rows, pixels, 7), {30: 0.2, 100: 0.6, 200: 0.2}),
        (treatment(rows, pixels, 7), {30: 0.0, 100: 0.8, 200: 0.2}),
    ):
        level = treated.mean((1, 2, 3)).round(-1)
        shares = {value: float((level == value).mean()) for value in expected}
        assert shares == pytest.approx(expected, abs=0.05)


def test_the_treatment_depends_on_its_seed_and_keeps_its_input() -> None:
    plan = _create_plan([f"i{row}" for row in range(60)], ("exposure", 0.1, 0.9, 0.6))
    treatment = build_targeted_treatment(plan, _create_image_table(60), apply_remedy)
    pixels = np.full((60, 8, 8, 3), 200, np.uint8)
    treated = treatment(np.arange(60), pixels, 7)
    assert np.array_equal(treated, treatment(np.arange(60), pixels, 7))
    assert not np.array_equal(treated, treatment(np.arange(60), pixels, 8))
    assert (pixels == 200).all()
    assert len(np.unique(treated.mean((1, 2, 3)))) > 20, "each image has its own strength"


def test_an_unknown_image_in_the_plan_is_an_error() -> None:
    plan = _create_plan(["unknown"], ("exposure", 0.5, 0.5, 0.5))
    with pytest.raises(KeyError):
        build_targeted_treatment(plan, _create_image_table(2), apply_remedy)


def test_oversampled_images_are_repeated_and_not_treated() -> None:
    first_plan = _create_plan(["i1"], ("oversampling", 3, 3, 1))
    second_plan = _create_plan(["i1"], ("oversampling", 2, 2, 1))
    plan = pd.concat([first_plan, second_plan])
    table = _create_image_table(4)
    images = _create_training_images()
    repeated = repeat_planned_images(plan, table, images)
    counts = np.bincount(repeated.image_rows, minlength=4).tolist()
    assert counts == [1, 3, 0, 1], "the largest strength counts"
    assert repeated.labels[repeated.image_rows == 1].tolist() == [1, 1, 1]
    assert repeat_planned_images(plan.iloc[:0], table, images) is images
    treatment = build_targeted_treatment(plan, table, apply_remedy)
    assert (treatment(repeated.image_rows, repeated.load_pixels(), 1) == 200).all()


def test_reweighted_images_are_repeated() -> None:
    plan = _create_plan(["i1"], ("reweighting", 3, 3, 1))
    repeated = repeat_planned_images(plan, _create_image_table(4), _create_training_images())
    assert np.bincount(repeated.image_rows).tolist() == [1, 3, 0, 1]


def test_a_plan_that_only_reweights_trains_the_last_layer_alone() -> None:
    plan = _create_plan(["i1"], ("reweighting", 3, 3, 1))
    oversampling_plan = _create_plan(["i2"], ("oversampling", 3, 3, 1))
    assert is_last_layer_only(plan)
    assert not is_last_layer_only(plan.iloc[:0])
    assert not is_last_layer_only(pd.concat([plan, oversampling_plan]))


def test_a_simulated_image_replaces_an_image_of_its_label() -> None:
    plan = _create_plan(["i0", "i1"], ("exposure", 0.5, 0.5, 0.5), ("exposure", 0.2, 0.4, 0.3))
    plan.loc[plan["slice"] == "s1", "simulator"] = "gate"
    simulated = pd.DataFrame({"slice": "s1", "label": ["a", "a", "b", "b"]})
    levels = np.array([10, 11, 20, 21], np.uint8)
    simulated_pixels = np.repeat(levels, 8 * 8 * 3).reshape(4, 8, 8, 3)
    simulated_images = SimulatedImages.create_from_table(simulated, simulated_pixels)
    table = _create_image_table(4)
    treatment = build_targeted_treatment(plan, table, apply_remedy, simulated_images)
    rows = np.repeat([0, 1, 3], 500)
    pixels = np.full((1500, 8, 8, 3), 200, np.uint8)
    level = treatment(rows, pixels, 7).mean((1, 2, 3))
    assert set(level[:500]) == {10, 11, 100, 200}
    assert set(level[500:1000]) == {20, 21, 100, 200}
    assert set(level[1000:]) == {200}, "an image without a plan stays as it is"
    assert float((level[:1000] < 50).mean()) == pytest.approx(0.3, abs=0.05)
    assert np.array_equal(level, treatment(rows, pixels, 7).mean((1, 2, 3)))
