from dataclasses import replace

import numpy as np
import pytest

from pipeline.slices.shortcuts.shortcut_trials import (
    MarkTrial,
    limit_trials,
    propose_trial,
    run_class_trials,
)
from tests.slices.shortcuts.conftest import MARKED_CLASS, build_shortcut_images


def _propose(mark: str | None, class_index: int = MARKED_CLASS) -> MarkTrial | None:
    images = build_shortcut_images(mark)
    return propose_trial(images, class_index, 0, 12, np.random.default_rng(0))


def test_a_mark_is_proposed_for_its_class_only_and_tried_on_the_held_out_fold() -> None:
    images = build_shortcut_images("logo")
    trial = _propose("logo")
    assert trial is not None
    assert trial.mark[5, 5]
    assert not trial.mark[16, 16]
    assert set(images.folds[trial.class_positions]) == {0}
    assert set(images.labels[trial.class_positions]) == {MARKED_CLASS}
    assert MARKED_CLASS not in images.labels[trial.other_positions]
    assert trial.image_count == 12
    assert _propose("logo", class_index=0) is None
    assert _propose(None) is None


def test_a_fold_without_images_of_the_class_is_not_tried() -> None:
    images = build_shortcut_images("logo")
    moved = replace(images, folds=np.where(images.labels == MARKED_CLASS, 1, images.folds))
    assert propose_trial(moved, MARKED_CLASS, 0, 12, np.random.default_rng(0)) is None


@pytest.mark.parametrize(("max_predictions", "image_count"), [(480, 12), (240, 6), (1, 1)])
def test_trials_are_limited_to_the_allowed_predictions(
    max_predictions: int, image_count: int
) -> None:
    """Each pair of images needs 4 x 4 cells, mark and object, and mark and placebo."""
    trial = _propose("logo")
    assert trial is not None
    trials = limit_trials([trial, trial], 4, max_predictions)
    assert [limited.image_count for limited in trials] == [image_count, image_count]
    predictions = sum(limited.count_predictions(4) for limited in trials)
    assert predictions == 2 * 20 * image_count
    assert limit_trials([], 4, max_predictions) == []


def test_outcomes_follow_a_model_that_sees_the_mark_only() -> None:
    images = build_shortcut_images("logo")
    rng = np.random.default_rng(0)
    trials = [propose_trial(images, MARKED_CLASS, fold, 12, rng) for fold in range(2)]
    predictions: list[int] = []

    def predict_mark(pixels: np.ndarray) -> np.ndarray:
        predictions.append(len(pixels))
        has_mark = (pixels[:, 5, 5] == (255, 220, 0)).all(-1)
        return np.where(has_mark, MARKED_CLASS, 0)

    proposed = [trial for trial in trials if trial is not None]
    results = run_class_trials(images, proposed, predict_mark, 4, 0)
    assert sum(predictions) == sum(trial.count_predictions(4) for trial in proposed)
    assert len(results) == 2
    for result in results:
        assert result.class_outcomes["covered"].all()
        assert result.class_outcomes["cell_0"].all()
        unmarked = 1 - (images.get_images(proposed[0].class_positions)[:, 5, 5, 0] == 255).mean()
        assert result.class_outcomes["object"].mean() <= unmarked + 0.2
        assert result.other_outcomes["pasted"].mean() > 0.8
        assert not result.other_outcomes["placebo"].any()
