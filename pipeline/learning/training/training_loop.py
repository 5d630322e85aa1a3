"""The training loop of `train` and `retrain`; killed at any step, it resumes bit by bit."""

from __future__ import annotations

import copy
import operator
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import timm
from torch import Tensor, nn

from pipeline.contracts import InputError, ProgressTracker, iterate_silently
from pipeline.data.reading.ordered_threads import map_in_order
from pipeline.learning.batches.batch_prefetch import count_local_workers
from pipeline.learning.batches.batch_sampling import BatchTreatment, PixelArray, TrainingImages
from pipeline.learning.batches.batch_sources import (
    HostSource,
    can_reside_in_memory,
    create_batch_source,
)
from pipeline.learning.distributed import get_fabric, prepare_device
from pipeline.learning.models.backbone import ModelMetadata, move_to_device, select_device
from pipeline.learning.models.step_memory import check_step_memory, measure_image_bytes
from pipeline.learning.training.checkpoint import (
    CheckpointTimer,
    TrainingCheckpoint,
    TrainingProgress,
    compute_training_key,
)
from pipeline.learning.training.linear_head import prepare_head_training
from pipeline.learning.training.progress_evaluation import are_last_weights_worse, evaluate_progress
from pipeline.learning.training.training_phases import (
    WeightAverage,
    adapt_to_network,
    compute_training_side,
)
from pipeline.learning.training.training_setup import (
    TrainingSchedule,
    compute_class_log_priors,
    compute_class_weights,
    create_optimizer,
)
from pipeline.learning.training.training_step import TrainingRun
from pipeline.learning.training_settings import HISTORY_DTYPES, FitSettings
from pipeline.storage.signals import defer_signals

CHECKPOINT_INTERVAL = 50
"""Steps between two checkpoints, at least; processes synchronize their statistics as often."""
MINIMUM_PROCESS_IMAGES = 2
"""Images of a batch for each process, at least: batch norm needs more than one."""


@dataclass(frozen=True)
class FitResult:
    """A trained model.

    Attributes:
        model: the model in evaluation mode.
        history: the training curves, the artifact `history`.
        step_count: number of steps that were made.
        best_step: the step whose weights the model has.
        image_passes: number of images that were trained on, with repetition.
        training_loss: mean training loss of the steps before the last evaluation.
    """

    model: nn.Module
    history: pd.DataFrame
    step_count: int
    best_step: int
    image_passes: int
    training_loss: float


def _defer_stop(process_count: int) -> AbstractContextManager[Callable[[], bool]]:
    """Defer signals to the end of a step; of several processes none can stop alone."""
    return defer_signals() if process_count == 1 else nullcontext(lambda: False)


def _save_checkpoint(
    training_run: TrainingRun, progress: TrainingProgress, checkpoint: TrainingCheckpoint
) -> None:
    checkpoint.save_state(
        training_run.model, training_run.optimizer, progress, training_run.extra_states
    )


def _train_steps(
    training_run: TrainingRun,
    progress: TrainingProgress,
    holdout: TrainingImages | None,
    checkpoint: TrainingCheckpoint,
    track: ProgressTracker,
) -> TrainingProgress:
    """Make the remaining steps, and return the progress after them.

    The training ends early when the holdout loss has not improved for `patience` evaluations, or
    with a saved state after a signal to stop. Batches are prepared ahead. Losses
    stay on the device; they are read at evaluations and checkpoints only.
    """
    schedule = training_run.schedule
    patience = schedule.settings.patience
    fabric = training_run.fabric
    timer = CheckpointTimer()
    start_time = time.monotonic()
    first_step = progress.step
    remaining_steps = range(first_step, schedule.step_count)
    is_stale = progress.stale_evaluations >= patience
    thread_count = count_local_workers(training_run.device_transfer.device)
    shard_builders = map(training_run.prepare_shard, remaining_steps)
    shards = map_in_order(shard_builders, operator.call, thread_count, queue_size=thread_count)
    step_metrics: list[Tensor] = []
    with _defer_stop(fabric.world_size) as is_stop_requested, closing(shards):
        for step in track(
            range(0) if is_stale else remaining_steps, total=len(remaining_steps), unit="steps"
        ):
            # After a resume the mode of the first step must be set again.
            if step in (first_step, schedule.frozen_step_count):
                training_run.begin_phase(step)
            step_metrics.append(training_run.run_step(step, next(shards)))
            progress = replace(progress, step=step + 1)
            is_last = progress.step == schedule.step_count
            is_evaluation_due = is_last or progress.step % schedule.evaluation_interval == 0
            is_stopping = is_stop_requested()
            is_interval_end = progress.step % CHECKPOINT_INTERVAL == 0
            is_checkpoint_due = (
                is_last or is_stopping or (is_interval_end and fabric.broadcast(timer.is_due()))
            )
            if is_evaluation_due or is_checkpoint_due:
                checked_metrics = training_run.check_losses(step_metrics, progress.step)
                step_metrics.clear()
                progress = replace(progress, step_metrics=progress.step_metrics + checked_metrics)
                if not training_run.is_compilation_decided:
                    step_seconds = (time.monotonic() - start_time) / (progress.step - first_step)
                    training_run.decide_compilation(
                        step_seconds, schedule.step_count - progress.step
                    )
            # Also if no checkpoint is due: the weights must not depend on the clock.
            if is_evaluation_due or is_interval_end:
                training_run.synchronize_statistics()
            if is_evaluation_due:
                progress = evaluate_progress(training_run, progress, holdout, checkpoint)
            is_stale = progress.stale_evaluations >= patience
            if is_checkpoint_due or is_stale:
                with timer.measure_writing():
                    _save_checkpoint(training_run, progress, checkpoint)
            if is_stopping or is_stale:
                break
    return progress


def _create_training_run(
    model: nn.Module,
    meta: ModelMetadata,
    training_images: TrainingImages,
    schedule: TrainingSchedule,
    treatment: BatchTreatment | None,
    *,
    seed: int,
    report_note: Callable[[str], None],
) -> TrainingRun:
    """Move the model and, where they fit, the images to the device."""
    settings = schedule.settings
    optimizer = create_optimizer(move_to_device(model), settings)
    prepare_device()
    is_resident = can_reside_in_memory(training_images, select_device())
    start_model = copy.deepcopy(model).eval() if settings.distillation else None
    return TrainingRun(
        model=model,
        optimizer=optimizer,
        meta=meta,
        training_images=training_images,
        schedule=schedule,
        class_weights=compute_class_weights(training_images, len(meta["classes"]), settings),
        class_log_priors=compute_class_log_priors(training_images, len(meta["classes"]), settings),
        batch_source=create_batch_source(
            training_images, meta, settings, treatment, is_resident=is_resident
        ),
        seed=seed,
        report_note=report_note,
        averaged_model=WeightAverage(model, settings.ema_decay) if settings.ema_decay else None,
        start_model=start_model,
        is_compiled=settings.compile is True,
    )


def _fit_head(
    model: nn.Module,
    training_images: TrainingImages,
    batch_source: HostSource,
    *,
    holdout: TrainingImages | None,
    seed: int,
    scratch_folder: Path,
    track: ProgressTracker,
    report_note: Callable[[str], None],
) -> FitResult:
    """Fine-tune the head of `model` in place, on embeddings of the images."""
    head, embedded_images, embedded_holdout, head_settings = prepare_head_training(
        model,
        training_images,
        holdout,
        batch_source,
        seed=seed,
        cache_folder=scratch_folder,
        track=track,
    )
    head_result = fit_network(
        head,
        dict(batch_source.meta),
        embedded_images,
        head_settings,
        holdout=embedded_holdout,
        seed=seed,
        scratch_folder=scratch_folder,
        track=track,
        report_note=report_note,
    )
    return replace(head_result, model=model.eval())


def _check_step(schedule: TrainingSchedule, backbone: str, pixels: PixelArray) -> None:
    """Check that a step has images for all processes, and that its memory is free on a CPU."""
    process_count = get_fabric().world_size
    if schedule.batch_size < MINIMUM_PROCESS_IMAGES * process_count:
        raise InputError(
            f"train.batch_size: {schedule.batch_size} images a step are too few "
            f"for {process_count} processes"
        )
    is_image_network = pixels.ndim == 4 and timm.is_model(backbone)
    if select_device().type == "cpu" and is_image_network:
        side = compute_training_side(pixels.shape[1], schedule.settings.training_side_share)
        image_bytes = measure_image_bytes(backbone, side)
        check_step_memory(image_bytes, schedule.batch_size, pixels.shape[1])


def _create_checkpoint(
    training_run: TrainingRun, scratch_folder: Path, *, is_treated: bool
) -> TrainingCheckpoint:
    """Return the files of a training, under the key of everything that it depends on."""
    training_images = training_run.training_images
    training_key = compute_training_key(
        training_run.schedule.settings,
        training_run.seed,
        training_images.image_rows,
        training_images.labels,
        training_run.meta["backbone"],
        is_treated,
    )
    return TrainingCheckpoint(scratch_folder, training_key)


def fit_network(
    model: nn.Module,
    meta: ModelMetadata,
    training_images: TrainingImages,
    settings: FitSettings,
    *,
    holdout: TrainingImages | None = None,
    treatment: BatchTreatment | None = None,
    seed: int,
    scratch_folder: Path,
    track: ProgressTracker = iterate_silently,
    report_note: Callable[[str], None] = lambda line: None,
) -> FitResult:
    """Fine-tune `model` in place by cross-entropy, from the checkpoint if there is one.

    Processes that share the work share each batch. On one CPU the result follows from the arguments
    bit by bit, even if the training is killed and resumed.

    Args:
        model: the network.
        meta: its metadata.
        training_images: the images to train on.
        settings: settings of the training.
        holdout: images without influence on the gradients. With them the training may stop early,
            and the model gets the weights with their lowest loss. Without them the training goes to
            the end, and the model keeps the last weights.
        treatment: what changes a batch before the augmentation.
        seed: seed of everything that is random.
        scratch_folder: folder of the checkpoint.
        track: shows the progress.
        report_note: receives a line about everything out of the ordinary.

    Raises:
        InputError: a loss is not finite (the error names the images of the batch), a batch has too
            few images for the processes or needs more memory than is free, or a setting does not
            fit the network.
    """
    if settings.head_only:
        return _fit_head(
            model,
            training_images,
            HostSource(meta, settings, treatment, select_device()),
            holdout=holdout,
            seed=seed,
            scratch_folder=scratch_folder,
            track=track,
            report_note=report_note,
        )
    schedule = TrainingSchedule(adapt_to_network(meta["backbone"], settings), len(training_images))
    _check_step(schedule, meta["backbone"], training_images.pixels)
    training_run = _create_training_run(
        model, meta, training_images, schedule, treatment, seed=seed, report_note=report_note
    )
    checkpoint = _create_checkpoint(training_run, scratch_folder, is_treated=treatment is not None)
    return _complete_training(training_run, checkpoint, holdout, track)


def _complete_training(
    training_run: TrainingRun,
    checkpoint: TrainingCheckpoint,
    holdout: TrainingImages | None,
    track: ProgressTracker,
) -> FitResult:
    """Make the steps that the checkpoint leaves, and return the model with its final weights."""
    model = training_run.model
    progress = checkpoint.restore_state(model, training_run.optimizer, training_run.extra_states)
    progress = _train_steps(training_run, progress, holdout, checkpoint, track)
    is_stopped_early = progress.step < training_run.schedule.step_count
    is_best_kept = bool(holdout) and (is_stopped_early or are_last_weights_worse(progress))
    if is_best_kept:
        checkpoint.load_best_weights(model)
    else:
        model.load_state_dict(training_run.evaluated_model.state_dict())
    history = pd.DataFrame(progress.history, columns=list(HISTORY_DTYPES)).astype(HISTORY_DTYPES)
    return FitResult(
        model.eval(),
        history,
        progress.step,
        progress.best_step if is_best_kept else progress.step,
        progress.step * training_run.schedule.batch_size,
        progress.training_loss,
    )
