"""What a plan makes of batches."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest

from pipeline.learning.training.batch_sampling import TrainingImages
from pipeline.learning.training.targeted_treatment import (
    SimulatedImages,
    build_targeted_treatment,
    is_last_layer_only,
    repeat_planned_images,
)
from pipeline.remedies import apply_remedy

COLUMNS = ["image_id", "slice", "remedy", "strength_low", "strength_high", "probability"]


def _plan(ids: Iterable[str], *recipes: tuple[str, float, float, float]) -> pd.DataFrame:
    rows = [(i, f"s{k}", *recipe) for i in ids for k, recipe in enumerate(recipes)]
    return pd.DataFrame(rows, columns=COLUMNS).assign(simulator=None)


def _images(count: int) -> pd.DataFrame:
    return pd.DataFrame(
        {"image_id": [f"i{k}" for k in range(count)], "label": ["a", "b"] * (count // 2)}
    )


def test_the_treatment_draws_by_the_plans_probabilities() -> None:
    plan = _plan(["i0", "i1"], ("exposure", 0.25, 0.25, 0.3), ("exposure", 0.5, 0.5, 0.5))
    treatment, rows = (
        build_targeted_treatment(plan, _images(4), apply_remedy),
        np.repeat([0, 3], 500),
    )
    out = treatment(rows, np.full((1000, 8, 8, 3), 200, np.uint8), 7)
    level = out.mean((1, 2, 3)).round(-1)
    assert (level[500:] == 200).all(), "a image without a plan is left alone"
    share = {v: float((level[:500] == v).mean()) for v in (50, 100, 200)}
    assert share == pytest.approx({50: 0.3, 100: 0.5, 200: 0.2}, abs=0.07)


def test_the_treatment_follows_its_seed_and_leaves_its_input() -> None:
    plan = _plan([f"i{k}" for k in range(60)], ("exposure", 0.1, 0.9, 0.6))
    treatment, pixels = (
        build_targeted_treatment(plan, _images(60), apply_remedy),
        np.full((60, 8, 8, 3), 200, np.uint8),
    )
    one = treatment(np.arange(60), pixels, 7)
    assert np.array_equal(one, treatment(np.arange(60), pixels, 7))
    assert not np.array_equal(one, treatment(np.arange(60), pixels, 8))
    assert (pixels == 200).all()
    assert len(np.unique(one.mean((1, 2, 3)))) > 20, "each image has its own strength"


def test_a_plan_for_an_unknown_image_is_an_error() -> None:
    with pytest.raises(KeyError):
        build_targeted_treatment(
            _plan(["nowhere"], ("exposure", 0.5, 0.5, 0.5)), _images(2), apply_remedy
        )


def test_what_is_shown_more_often_is_repeated_and_left_as_it_is() -> None:
    plan = pd.concat(
        [_plan(["i1"], ("oversampling", 3, 3, 1)), _plan(["i1"], ("oversampling", 2, 2, 1))]
    )
    images = TrainingImages(
        np.full((4, 8, 8, 3), 200, np.uint8), np.array([0, 1, 3]), np.array([0, 1, 0])
    )
    more = repeat_planned_images(plan, _images(4), images)
    assert np.bincount(more.image_rows, minlength=4).tolist() == [1, 3, 0, 1], (
        "the largest strength counts"
    )
    assert more.labels[more.image_rows == 1].tolist() == [1, 1, 1]
    assert repeat_planned_images(plan.iloc[:0], _images(4), images) is images
    treated = build_targeted_treatment(plan, _images(4), apply_remedy)(
        more.image_rows, more.load_pixels(), 1
    )
    assert (treated == 200).all()


def test_only_what_weighs_images_anew_is_left_to_the_last_layer() -> None:
    weighed = _plan(["i1"], ("reweighting", 3, 3, 1))
    images = TrainingImages(
        np.zeros((4, 8, 8, 3), np.uint8), np.array([0, 1, 3]), np.array([0, 1, 0])
    )
    assert np.bincount(repeat_planned_images(weighed, _images(4), images).image_rows).tolist() == [
        1,
        3,
        0,
        1,
    ]
    assert is_last_layer_only(weighed)
    assert not is_last_layer_only(weighed.iloc[:0])
    assert not is_last_layer_only(pd.concat([weighed, _plan(["i2"], ("oversampling", 3, 3, 1))]))


def test_a_simulated_image_takes_the_place_of_one_of_its_class() -> None:
    plan = _plan(["i0", "i1"], ("exposure", 0.5, 0.5, 0.5), ("exposure", 0.2, 0.4, 0.3))
    plan.loc[plan["slice"] == "s1", "simulator"] = "gate"
    simulated = pd.DataFrame({"slice": "s1", "label": ["a", "a", "b", "b"]})
    pool = SimulatedImages.create_from_table(
        simulated, np.repeat(np.array([10, 11, 20, 21], np.uint8), 8 * 8 * 3).reshape(4, 8, 8, 3)
    )
    treatment, rows = (
        build_targeted_treatment(plan, _images(4), apply_remedy, pool),
        np.repeat([0, 1, 3], 500),
    )
    pixels = np.full((1500, 8, 8, 3), 200, np.uint8)
    level = treatment(rows, pixels, 7).mean((1, 2, 3))
    assert set(level[:500]) == {10, 11, 100, 200}
    assert set(level[500:1000]) == {20, 21, 100, 200}
    assert set(level[1000:]) == {200}, "a image without a plan is left alone"
    assert float((level[:1000] < 50).mean()) == pytest.approx(0.3, abs=0.05)
    assert np.array_equal(level, treatment(rows, pixels, 7).mean((1, 2, 3)))
