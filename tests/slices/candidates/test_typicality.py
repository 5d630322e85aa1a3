import numpy as np
import pandas as pd
import pytest

from pipeline.slices.candidates.typicality import (
    compute_coordinates,
    score_typicality,
    select_core_images,
)
from pipeline.slices.finder_constants import CONSTANTS


def _draw_frame(rng: np.random.Generator, n: int = 400) -> pd.DataFrame:
    keys = {
        "image_id": [f"i{k}" for k in range(n)],
        "label": "a",
        "group": [f"g{k}" for k in range(n)],
    }
    values = {"luminance": rng.normal(100, 20, n), "hour": rng.uniform(0, 24, n), "camera": "north"}
    return pd.DataFrame(keys | values)


def test_coordinates_are_normal_scores_of_numbers_and_components_of_features() -> None:
    rng = np.random.default_rng(0)
    frame, embeddings = _draw_frame(rng), rng.normal(0, 1, (400, 30)).astype(np.float32)
    fit_mask = np.arange(400) < 200
    space = compute_coordinates(frame, embeddings, fit_mask)
    # the hour is periodic and the camera no number
    assert space.shape == (400, 1 + CONSTANTS.candidates.max_feature_components)
    assert space[fit_mask, 0].std() == pytest.approx(1, abs=0.05)
    assert (np.argsort(space[fit_mask, 0]) == np.argsort(frame["luminance"][:200])).all()


def test_images_that_are_not_fitted_do_not_change_the_coordinates_of_the_others() -> None:
    rng = np.random.default_rng(0)
    frame, embeddings = _draw_frame(rng), rng.normal(0, 1, (400, 30)).astype(np.float32)
    fit_mask = np.arange(400) < 200
    space = compute_coordinates(frame, embeddings, fit_mask)
    changed = frame.assign(luminance=np.where(fit_mask, frame["luminance"], 0.0))
    embeddings[~fit_mask] *= 2
    assert (compute_coordinates(changed, embeddings, fit_mask)[fit_mask] == space[fit_mask]).all()


def test_an_unknown_value_counts_as_the_median() -> None:
    frame = _draw_frame(np.random.default_rng(1))
    frame.loc[::2, "luminance"] = np.nan
    no_features = np.zeros((400, 0), np.float32)
    scores = compute_coordinates(frame, no_features, np.ones(400, bool))[:, 0]
    assert (scores[::2] == 0).all()
    assert np.median(scores[1::2]) == pytest.approx(0, abs=0.01)
    unknown = frame.assign(luminance=np.nan)
    assert (compute_coordinates(unknown, no_features, np.ones(400, bool)) == 0).all()


def test_without_numbers_and_features_there_is_one_constant_coordinate() -> None:
    frame = _draw_frame(np.random.default_rng(1))[["image_id", "label", "group", "camera"]]
    space = compute_coordinates(frame, np.zeros((400, 0), np.float32), np.ones(400, bool))
    assert space.tolist() == [[0.0]] * 400


def test_typical_images_have_what_distinguishes_the_fitted_failures() -> None:
    rng = np.random.default_rng(2)
    has_cause = rng.random(600) < 0.3
    space = rng.normal(0, 1, (600, 6)) + 2.0 * np.outer(has_cause, [1, 1, 0, 0, 0, 0])
    errors = has_cause & (rng.random(600) < 0.6) | (rng.random(600) < 0.1)
    fit_mask, rule_mask = np.arange(600) < 300, rng.random(600) < 0.8
    scores = score_typicality(space, rule_mask, errors, fit_mask)
    assert (np.isfinite(scores) == rule_mask).all()
    most_typical = np.argsort(-np.where(fit_mask, -np.inf, scores))[:10]
    assert has_cause[most_typical].mean() >= 0.9
    other_outcomes = np.where(fit_mask, errors, ~errors)
    assert (score_typicality(space, rule_mask, other_outcomes, fit_mask) == scores).all()


def test_with_few_failures_the_images_near_the_mean_are_typical() -> None:
    space = np.arange(40.0)[:, None]
    rule_mask, everything = np.arange(40) < 20, np.ones(40, bool)
    errors = np.arange(40) < CONSTANTS.candidates.min_discriminant_images - 1
    scores = score_typicality(space, rule_mask, errors, everything)
    assert int(np.argmax(scores)) in (9, 10)
    assert scores[0] == scores[19] == -9.5


def test_a_rule_that_admits_nothing_has_no_typical_image() -> None:
    nothing, everything = np.zeros(40, bool), np.ones(40, bool)
    scores = score_typicality(np.arange(40.0)[:, None], nothing, everything, everything)
    assert (scores == -np.inf).all()


def test_the_core_is_the_more_typical_half_in_each_half() -> None:
    rng = np.random.default_rng(3)
    halves = np.arange(600) % 2
    scores = rng.normal(0, 1, 600) + 100 * halves
    scores[:100] = -np.inf
    is_core = select_core_images(scores, halves)
    assert not is_core[:100].any()
    for half in (0, 1):
        rows = np.flatnonzero((halves == half) & np.isfinite(scores))
        assert is_core[rows].sum() == len(rows) // 2
        assert scores[rows][is_core[rows]].min() > scores[rows][~is_core[rows]].max()


def test_a_small_slice_is_its_own_core() -> None:
    least = CONSTANTS.candidates.min_core_images
    scores = np.where(np.arange(600) < least, 0.0, -np.inf)
    assert select_core_images(scores, np.zeros(600, np.intp)).sum() == least
    nothing = np.full(10, -np.inf)
    assert not select_core_images(nothing, np.zeros(10, np.intp)).any()
