import numpy as np
import pandas as pd
import pytest

from pipeline.slices.candidates.typicality import (
    MIN_CORE_IMAGES,
    MIN_FAILING_IMAGES,
    compute_coordinates,
    score_typicality,
    select_core_images,
)


def _frame(rng: np.random.Generator, n: int = 400) -> pd.DataFrame:
    table = {
        "image_id": [f"i{k}" for k in range(n)],
        "label": "a",
        "group": [f"g{k}" for k in range(n)],
    }
    values = {"luminance": rng.normal(100, 20, n), "hour": rng.uniform(0, 24, n), "camera": "north"}
    return pd.DataFrame(table | values)


def test_numbers_become_normal_scores_that_the_other_half_does_not_sway() -> None:
    rng = np.random.default_rng(0)
    frame, embeddings = _frame(rng), rng.normal(0, 1, (400, 30)).astype(np.float32)
    learn = np.arange(400) < 200
    space = compute_coordinates(frame, embeddings, learn)
    assert space.shape == (
        400,
        1 + 24,
    )  # luminance and components; an hour is on a circle, a camera no number
    assert space[learn, 0].std() == pytest.approx(1, abs=0.05)
    assert (np.argsort(space[learn, 0]) == np.argsort(frame["luminance"][:200])).all()
    changed = frame.assign(luminance=np.where(learn, frame["luminance"], 0.0))
    assert (compute_coordinates(changed, embeddings, learn)[learn] == space[learn]).all()


def test_an_unknown_value_counts_as_the_median() -> None:
    rng = np.random.default_rng(1)
    frame = _frame(rng).assign(luminance=np.nan)
    assert (
        compute_coordinates(
            frame, rng.normal(0, 1, (400, 5)).astype(np.float32), np.ones(400, bool)
        )[:, 0]
        == 0
    ).all()


def test_what_sets_the_failing_images_apart_is_typical_where_nothing_was_learnt() -> None:
    rng = np.random.default_rng(2)
    cause = rng.random(600) < 0.3
    space = rng.normal(0, 1, (600, 6)) + 2.0 * np.outer(cause, [1, 1, 0, 0, 0, 0])
    errors = cause & (rng.random(600) < 0.6) | (rng.random(600) < 0.1)
    learn, mask = np.arange(600) < 300, rng.random(600) < 0.8
    score = score_typicality(space, mask, errors, learn)
    assert (np.isfinite(score) == mask).all()
    top = np.argsort(-np.where(learn, -np.inf, score))[:10]
    assert cause[top].mean() >= 0.9
    turned = score_typicality(space, mask, np.where(learn, errors, ~errors), learn)
    assert (turned == score).all()  # the outcome of the images it is judged on never reaches it


def test_too_few_failures_fall_back_on_nearness_and_an_empty_slice_has_no_score() -> None:
    space = np.arange(40.0)[:, None]
    mask, none = np.arange(40) < 20, np.zeros(40, bool)
    errors = np.arange(40) < MIN_FAILING_IMAGES - 1
    assert int(np.argmax(score_typicality(space, mask, errors, np.ones(40, bool)))) in (9, 10)
    assert (score_typicality(space, none, errors, np.ones(40, bool)) == -np.inf).all()


def test_the_core_of_a_slice_is_the_more_typical_half_of_each_half_of_val() -> None:
    rng = np.random.default_rng(3)
    half, score = np.arange(600) % 2, rng.normal(0, 1, 600) + 100 * (np.arange(600) % 2)
    score[:100] = -np.inf
    chosen = select_core_images(score, half)
    assert not chosen[:100].any()
    for h in (0, 1):
        rows = np.flatnonzero((half == h) & np.isfinite(score))
        assert chosen[rows].sum() == len(rows) // 2
        assert score[rows][chosen[rows]].min() > score[rows][~chosen[rows]].max()
    few = np.where(np.arange(600) < MIN_CORE_IMAGES, 0.0, -np.inf)
    assert select_core_images(few, np.zeros(600, np.intp)).sum() == MIN_CORE_IMAGES
    assert not select_core_images(np.full(10, -np.inf), np.zeros(10, np.intp)).any()
