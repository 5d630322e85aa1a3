"""What a plan makes of batches."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest

from pipeline.learning.batches import Photos
from pipeline.learning.planned import repeated, treatment_of
from pipeline.remedies import treat

COLUMNS = ["image_id", "slice", "remedy", "dose_low", "dose_high", "probability"]


def _plan(ids: Iterable[str], *recipes: tuple[str, float, float, float]) -> pd.DataFrame:
    return pd.DataFrame([(i, f"s{k}", *recipe) for i in ids for k, recipe in enumerate(recipes)], columns=COLUMNS)


def _images(count: int) -> pd.DataFrame:
    return pd.DataFrame({"image_id": [f"i{k}" for k in range(count)]})


def test_the_treatment_draws_by_the_plans_probabilities() -> None:
    plan = _plan(["i0", "i1"], ("exposure", 0.25, 0.25, 0.3), ("exposure", 0.5, 0.5, 0.5))
    treatment, rows = treatment_of(plan, _images(4), treat), np.repeat([0, 3], 500)
    out = treatment(rows, np.full((1000, 8, 8, 3), 200, np.uint8), 7)
    level = out.mean((1, 2, 3)).round(-1)
    assert (level[500:] == 200).all(), "a photo without a plan is left alone"
    share = {v: float((level[:500] == v).mean()) for v in (50, 100, 200)}
    assert share == pytest.approx({50: 0.3, 100: 0.5, 200: 0.2}, abs=0.07)


def test_the_treatment_follows_its_seed_and_leaves_its_input() -> None:
    plan = _plan([f"i{k}" for k in range(60)], ("exposure", 0.1, 0.9, 0.6))
    treatment, pixels = treatment_of(plan, _images(60), treat), np.full((60, 8, 8, 3), 200, np.uint8)
    one = treatment(np.arange(60), pixels, 7)
    assert np.array_equal(one, treatment(np.arange(60), pixels, 7))
    assert not np.array_equal(one, treatment(np.arange(60), pixels, 8))
    assert (pixels == 200).all()
    assert len(np.unique(one.mean((1, 2, 3)))) > 20, "each photo has its own dose"


def test_a_plan_for_an_unknown_image_is_an_error() -> None:
    with pytest.raises(KeyError):
        treatment_of(_plan(["nowhere"], ("exposure", 0.5, 0.5, 0.5)), _images(2), treat)


def test_what_is_shown_more_often_is_repeated_and_left_as_it_is() -> None:
    plan = pd.concat([_plan(["i1"], ("oversampling", 3, 3, 1)), _plan(["i1"], ("oversampling", 2, 2, 1))])
    photos = Photos(np.full((4, 8, 8, 3), 200, np.uint8), np.array([0, 1, 3]), np.array([0, 1, 0]))
    more = repeated(plan, _images(4), photos)
    assert np.bincount(more.rows, minlength=4).tolist() == [1, 3, 0, 1], "the largest dose counts"
    assert more.labels[more.rows == 1].tolist() == [1, 1, 1]
    assert repeated(plan.iloc[:0], _images(4), photos) is photos
    treated = treatment_of(plan, _images(4), treat)(more.rows, more.load(), 1)
    assert (treated == 200).all()
