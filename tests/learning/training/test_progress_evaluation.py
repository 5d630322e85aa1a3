"""Evaluations during a training: their images, their rows and the best weights."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.training import progress_evaluation
from pipeline.learning.training.checkpoint import TrainingCheckpoint, TrainingProgress
from pipeline.learning.training.progress_evaluation import evaluate_progress
from pipeline.learning.training.training_step import TrainingRun
from pipeline.learning.training_settings import FitSettings
from tests.learning.drawn import draw_images
from tests.learning.small_training import copy_weights, create_training_run

PROGRESS = TrainingProgress(step=4, step_metrics=[[0.5, 0.75], [0.7, 0.25]])


@pytest.fixture
def training_run(images: TrainingImages) -> TrainingRun:
    return create_training_run(images, FitSettings(recipe="bare", batch_size=8))


def test_without_a_holdout_the_mean_of_the_steps_is_recorded(
    training_run: TrainingRun, tmp_path: Path
) -> None:
    checkpoint = TrainingCheckpoint(tmp_path, "key")
    progress = evaluate_progress(training_run, PROGRESS, None, checkpoint)
    (row,) = progress.history
    assert row["loss"] == pytest.approx(0.6)
    assert row["accuracy"] == pytest.approx(0.5)
    assert row["passes"] == 4 * 8
    assert progress.training_loss == pytest.approx(0.6)
    assert progress.step_metrics == []
    assert not checkpoint.best_weights_path.exists()


def test_the_weights_with_the_lowest_holdout_loss_are_saved(
    training_run: TrainingRun, tmp_path: Path
) -> None:
    checkpoint = TrainingCheckpoint(tmp_path, "key")
    holdout = draw_images(20, seed=1)
    best = evaluate_progress(training_run, PROGRESS, holdout, checkpoint)
    best_weights = copy_weights(training_run.model)
    assert [row["split"] for row in best.history] == ["train", "holdout"]
    assert (best.best_step, best.stale_evaluations) == (4, 0)
    training_run.model.get_parameter("classifier.bias").data[0] += 100
    later = TrainingProgress(
        step=8, best_step=4, best_loss=best.best_loss, step_metrics=PROGRESS.step_metrics
    )
    worse = evaluate_progress(training_run, later, holdout, checkpoint)
    assert worse.best_loss == best.best_loss < worse.history[-1]["loss"]
    assert (worse.best_step, worse.stale_evaluations) == (4, 1)
    checkpoint.load_best_weights(training_run.model)
    assert training_run.model.get_parameter("classifier.bias").equal(
        best_weights["classifier.bias"]
    )


class _RecordedPixels(np.ndarray):
    """Pixels that record the rows that are read from them."""

    reads: list[list[int]]

    def __getitem__(self, key: object) -> np.ndarray:
        rows = np.asarray(self)[key]
        if isinstance(key, np.ndarray):
            self.reads.append(key.tolist())
        return rows


def test_a_large_holdout_is_sampled_and_the_sample_stays_the_same(
    training_run: TrainingRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_evaluation, "MAXIMUM_HOLDOUT_IMAGES", 40)
    drawn = draw_images(96, seed=1)
    pixels = drawn.pixels.view(_RecordedPixels)
    pixels.reads = []
    holdout = TrainingImages(pixels, drawn.image_rows, drawn.labels)
    checkpoint = TrainingCheckpoint(tmp_path, "key")
    evaluate_progress(training_run, PROGRESS, holdout, checkpoint)
    evaluate_progress(training_run, PROGRESS, holdout, checkpoint)
    first_read, second_read = pixels.reads
    assert len(first_read) == 40
    assert first_read == second_read
