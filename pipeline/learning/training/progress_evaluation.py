"""Evaluations during a training: points of the training curves, and which weights are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ttest_rel
from torch import nn

from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.inference.temperature_scaling import (
    compute_image_losses,
    compute_negative_log_likelihood,
    fit_temperature,
)
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
WORSE_WEIGHTS_LEVEL = 0.05
"""Level of the test by which the last weights are worse than earlier ones: a usual level."""


@dataclass(frozen=True)
class _Evaluation:
    """How a model does on images without augmentation and label smoothing.

    Attributes:
        loss: mean loss in nats.
        accuracy: share of the images that are classified correctly.
        calibrated_losses: loss of each image in nats after temperature scaling, float64 [images].
    """

    loss: float
    accuracy: float
    calibrated_losses: NDArray[np.float64]


def _evaluate_images(model: nn.Module, meta: ModelMetadata, images: TrainingImages) -> _Evaluation:
    """Return loss and accuracy, and the losses of a calibrated model.

    Late in a training a model grows overconfident: its loss rises while its accuracy still does.
    Temperature scaling (Guo et al. 2017) takes that out.
    """
    logits = compute_logits(model, images.load_pixels(), meta)
    temperature = fit_temperature(logits, images.labels)
    return _Evaluation(
        compute_negative_log_likelihood(logits, images.labels),
        float((logits.argmax(1) == images.labels).mean()),
        compute_image_losses(logits, images.labels, temperature),
    )


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
    """Return the progress after one evaluation; the weights with the lowest loss are saved.

    That is the loss on the holdout after temperature scaling.

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
    evaluation = _evaluate_images(model, training_run.meta, holdout)
    sample_evaluation = _evaluate_images(model, training_run.meta, sample)
    rows = [
        _create_history_row(progress.step, schedule, split, (found.loss, found.accuracy))
        for split, found in (("train", sample_evaluation), ("holdout", evaluation))
    ]
    losses = evaluation.calibrated_losses
    progress = replace(_add_history(progress, rows, mean_loss), last_losses=losses.tolist())
    if progress.best_step and losses.mean() >= np.mean(progress.best_losses):
        return replace(progress, stale_evaluations=progress.stale_evaluations + 1)
    checkpoint.save_best_weights(model)
    return replace(
        progress, best_step=progress.step, best_losses=progress.last_losses, stale_evaluations=0
    )


def are_last_weights_worse(progress: TrainingProgress) -> bool:
    """Return whether the last weights lose significantly against the best ones on the holdout.

    A small holdout says little about two states of one training, and the last weights had the
    whole schedule: they are kept unless a paired t-test of the images' losses speaks against them.
    Without a difference, or of a single image, it does not.
    """
    losses = (progress.last_losses, progress.best_losses)
    if progress.best_step == progress.step or len(progress.last_losses) < 2:
        return False
    return bool(ttest_rel(*losses, alternative="greater").pvalue < WORSE_WEIGHTS_LEVEL)
