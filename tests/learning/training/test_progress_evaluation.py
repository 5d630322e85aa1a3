"""Evaluations during a training: their images, their rows and the kept weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.training import progress_evaluation
from pipeline.learning.training.checkpoint import TrainingCheckpoint, TrainingProgress
from pipeline.learning.training.progress_evaluation import are_last_weights_worse, evaluate_progress
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
    later = replace(best, step=8, step_metrics=PROGRESS.step_metrics)
    worse = evaluate_progress(training_run, later, holdout, checkpoint)
    assert worse.best_losses == best.best_losses
    assert np.mean(worse.last_losses) > np.mean(best.best_losses)
    assert (worse.best_step, worse.stale_evaluations) == (4, 1)
    checkpoint.load_best_weights(training_run.model)
    assert training_run.model.get_parameter("classifier.bias").equal(
        best_weights["classifier.bias"]
    )


def test_overconfidence_alone_does_not_make_weights_worse(
    training_run: TrainingRun, tmp_path: Path
) -> None:
    """The logits are scaled: every prediction stays, and the loss rises."""
    checkpoint = TrainingCheckpoint(tmp_path, "key")
    images = draw_images(40, seed=1)
    head = [training_run.model.get_parameter(f"classifier.{part}") for part in ("weight", "bias")]
    for parameter in head:
        parameter.data.mul_(2_000)  # a head that has not been trained has hardly any logits
    labels = compute_logits(training_run.model, images.pixels, training_run.meta).argmax(1)
    labels[::5] = 1 - labels[::5]
    holdout = replace(images, labels=labels)
    early = evaluate_progress(training_run, PROGRESS, holdout, checkpoint)
    for parameter in head:
        parameter.data.mul_(5)
    later = replace(early, step=8, step_metrics=PROGRESS.step_metrics)
    overconfident = evaluate_progress(training_run, later, holdout, checkpoint)
    assert overconfident.history[-1]["loss"] > early.history[-1]["loss"] + 0.05
    assert overconfident.last_losses == pytest.approx(early.best_losses, abs=1e-2)
    assert not are_last_weights_worse(overconfident)


@pytest.mark.parametrize(
    ("differences", "is_worse"),
    [
        ([0.3, 0.2, 0.4, 0.3, 0.2, 0.3], True),
        ([0.9, -0.7, 0.6, -0.5, 0.4, -0.3], False),
        ([0.0] * 6, False),
        ([0.5], False),
        ([], False),
    ],
    ids=["all worse", "worse by chance", "equal", "one image", "no evaluation"],
)
def test_the_last_weights_are_worse_only_by_a_significant_difference(
    differences: list[float], is_worse: bool
) -> None:
    best_losses = [0.5] * len(differences)
    last_losses = [0.5 + difference for difference in differences]
    progress = TrainingProgress(
        step=8, best_step=4, best_losses=best_losses, last_losses=last_losses
    )
    assert are_last_weights_worse(progress) is is_worse


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
