"""Evaluations during a training: points of the training curves, and the best weights so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.inference.temperature_scaling import compute_negative_log_likelihood
from pipeline.learning.models.backbone import ModelMetadata
from pipeline.learning.training.checkpoint import TrainingCheckpoint, TrainingProgress
from pipeline.learning.training.training_setup import TrainingSchedule
from pipeline.learning.training.training_step import TrainingRun

MAXIMUM_HOLDOUT_IMAGES = 10_000
"""Images of a larger holdout that an evaluation uses, always the same, to bound its time."""
MINIMUM_TRAINING_SAMPLE = 64
"""Fewest training images that are evaluated, if the holdout has as many."""
MAXIMUM_TRAINING_SAMPLE = 512
"""Most training images that are evaluated; the evaluation on the holdout is costly enough."""
TRAINING_SAMPLE_SHARE = 1 / 4
"""Size of the sample of training images, as a share of the holdout."""


def _evaluate_images(
    model: nn.Module, meta: ModelMetadata, images: TrainingImages
) -> tuple[float, float]:
    """Return loss (nats) and accuracy on images without augmentation and label smoothing."""
    logits = compute_logits(model, images.load_pixels(), meta)
    accuracy = float((logits.argmax(1) == images.labels).mean())
    return compute_negative_log_likelihood(logits, images.labels), accuracy


def _create_history_row(
    step: int, schedule: TrainingSchedule, split: str, metrics: tuple[float, float]
) -> dict[str, Any]:
    """Return one row of the training curves after `step` steps."""
    loss, accuracy = metrics
    return {
        "step": step,
        "passes": step * schedule.batch_size,
        "split": split,
        "loss": loss,
        "accuracy": accuracy,
        "rate": schedule.compute_learning_rate(step - 1),
    }


def _sample_images(
    training_images: TrainingImages, holdout: TrainingImages, seed: int
) -> tuple[TrainingImages, TrainingImages]:
    """Return the training and the holdout images to evaluate, the same at each evaluation."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(training_images))
    if len(holdout) > MAXIMUM_HOLDOUT_IMAGES:
        positions = rng.permutation(len(holdout))[:MAXIMUM_HOLDOUT_IMAGES]
        holdout = holdout.select_images(np.sort(positions))
    sample_size = int(len(holdout) * TRAINING_SAMPLE_SHARE)
    sample_size = min(max(sample_size, MINIMUM_TRAINING_SAMPLE), MAXIMUM_TRAINING_SAMPLE)
    sample_size = min(sample_size, len(holdout))
    return training_images.select_images(np.sort(order[:sample_size])), holdout


def _add_history(
    progress: TrainingProgress, rows: Sequence[dict[str, Any]], training_loss: float
) -> TrainingProgress:
    history = [*progress.history, *rows]
    return replace(progress, history=history, step_metrics=[], training_loss=training_loss)


def evaluate_progress(
    training_run: TrainingRun,
    progress: TrainingProgress,
    holdout: TrainingImages | None,
    checkpoint: TrainingCheckpoint,
) -> TrainingProgress:
    """Return the progress after one evaluation; the weights with the lowest holdout loss are saved.

    Without a holdout the training curves get the mean loss and accuracy of the last steps.

    Args:
        training_run: the training, with the model to evaluate.
        progress: how far the training is, with the metrics of the steps since the last evaluation.
        holdout: the images to evaluate on, besides a sample of the training images.
        checkpoint: stores the best weights.
    """
    schedule = training_run.schedule
    mean_loss, mean_accuracy = np.mean(progress.step_metrics, axis=0).tolist()
    if not holdout:
        row = _create_history_row(progress.step, schedule, "train", (mean_loss, mean_accuracy))
        return _add_history(progress, [row], mean_loss)
    sample, holdout = _sample_images(training_run.training_images, holdout, training_run.seed)
    model = training_run.evaluated_model
    holdout_metrics = _evaluate_images(model, training_run.meta, holdout)
    sample_metrics = _evaluate_images(model, training_run.meta, sample)
    rows = [
        _create_history_row(progress.step, schedule, "train", sample_metrics),
        _create_history_row(progress.step, schedule, "holdout", holdout_metrics),
    ]
    progress = _add_history(progress, rows, mean_loss)
    holdout_loss, _ = holdout_metrics
    if progress.best_step and holdout_loss >= progress.best_loss:
        return replace(progress, stale_evaluations=progress.stale_evaluations + 1)
    checkpoint.save_best_weights(model)
    return replace(progress, best_step=progress.step, best_loss=holdout_loss, stale_evaluations=0)
