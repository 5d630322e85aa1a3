"""The one training loop, for `train` and `retrain` alike. Killed at any step it resumes to the same weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor, nn

from pipeline.contracts import InputError, ProgressTracker, iterate_silently
from pipeline.learning import distributed
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.inference.temperature_scaling import compute_negative_log_likelihood
from pipeline.learning.models.backbone import ModelMetadata, move_to_device, select_device
from pipeline.learning.training.batch_prefetch import count_local_workers, prefetch_results
from pipeline.learning.training.batch_sampling import BatchTreatment, TrainingImages
from pipeline.learning.training.batch_sources import HostSource, create_batch_source
from pipeline.learning.training.checkpoint import (
    CheckpointTimer,
    TrainingCheckpoint,
    TrainingProgress,
    compute_training_key,
)
from pipeline.learning.training.device_policy import (
    apply_precision,
    choose_precision,
    create_loss_scaler,
    describe_device,
)
from pipeline.learning.training.linear_head import prepare_head_training
from pipeline.learning.training.training_phases import WeightAverage, require_flexible_input
from pipeline.learning.training.training_step import (
    TrainingRun,
    TrainingSchedule,
    compute_class_weights,
    create_optimizer,
)
from pipeline.learning.training_settings import HISTORY_DTYPES, FitSettings
from pipeline.storage.signals import defer_signals

CHECKPOINT_INTERVAL = 50  # steps between checkpoints, at least
MAXIMUM_HOLDOUT_IMAGES = 10_000  # images of the holdout that a look asks, at most
TRAINING_SAMPLE_LIMITS = (
    64,
    512,
)  # fewest and most training images looked at, as the holdout is: no augmentation, no smoothing


@dataclass(frozen=True)
class FitResult:
    """A model after its training.

    history: rows of the graph page's `history`. best_step: the step whose weights the model has. loss: mean training
    loss since the last look.
    """

    model: nn.Module
    history: pd.DataFrame
    step_count: int
    best_step: int
    image_passes: int
    training_loss: float


def _evaluate_images(
    model: nn.Module, meta: ModelMetadata, images: TrainingImages
) -> tuple[float, float]:
    """Loss (nats) and accuracy on images as they are."""
    scores = compute_logits(model, images.load_pixels(), meta)
    return compute_negative_log_likelihood(scores, images.labels), float(
        (scores.argmax(1) == images.labels).mean()
    )


def _create_history_row(
    progress: TrainingProgress, schedule: TrainingSchedule, split: str, loss: float, accuracy: float
) -> dict[str, object]:
    step = progress.step
    return {
        "step": step,
        "passes": step * schedule.batch_size,
        "split": split,
        "loss": loss,
        "accuracy": accuracy,
        "rate": schedule.compute_learning_rate(step - 1),
    }


def _evaluate_progress(
    training_run: TrainingRun,
    progress: TrainingProgress,
    holdout: TrainingImages | None,
    checkpoint: TrainingCheckpoint,
) -> TrainingProgress:
    """Enter what the images learnt from and the holdout say now; keep the weights with the lowest holdout loss."""
    running = np.mean(progress.running, axis=0)
    if not holdout:
        rows = [_create_history_row(progress, training_run.schedule, "train", *running.tolist())]
        return replace(
            progress, history=[*progress.history, *rows], running=[], loss=float(running[0])
        )
    rng = np.random.default_rng(training_run.seed)
    order = rng.permutation(len(training_run.training_images))
    if len(holdout) > MAXIMUM_HOLDOUT_IMAGES:
        holdout = holdout.select_images(
            np.sort(rng.permutation(len(holdout))[:MAXIMUM_HOLDOUT_IMAGES])
        )
    size = min(
        int(np.clip(len(holdout) // 4, *TRAINING_SAMPLE_LIMITS)), len(holdout)
    )  # a look at the holdout costs enough
    sample = training_run.training_images.select_images(np.sort(order[:size]))
    held = _evaluate_images(training_run.evaluated_model, training_run.meta, holdout)
    rows = [
        _create_history_row(
            progress,
            training_run.schedule,
            "train",
            *_evaluate_images(training_run.evaluated_model, training_run.meta, sample),
        ),
        _create_history_row(progress, training_run.schedule, "holdout", *held),
    ]
    progress = replace(
        progress, history=[*progress.history, *rows], running=[], loss=float(running[0])
    )
    if progress.best_step and held[0] >= progress.best_loss:
        return replace(progress, stale=progress.stale + 1)
    checkpoint.save_best_weights(training_run.evaluated_model)
    return replace(progress, best_step=progress.step, best_loss=held[0], stale=0)


def _iterate_steps(
    progress: TrainingProgress, schedule: TrainingSchedule, is_stopped: bool
) -> Iterator[int]:
    yield from range(progress.step, progress.step if is_stopped else schedule.step_count)


def _train_steps(
    training_run: TrainingRun,
    progress: TrainingProgress,
    holdout: TrainingImages | None,
    checkpoint: TrainingCheckpoint,
    track: ProgressTracker,
) -> TrainingProgress:
    """Go on to the end, or to where the holdout has not improved for `patience` looks; asked to stop, save and stop.

    Batches are made ready ahead. Losses stay on the device, and are read at looks and checkpoints only.
    """
    schedule, patience = training_run.schedule, training_run.schedule.settings.patience
    left, single, rhythm = (
        schedule.step_count - progress.step,
        distributed.count_ranks() == 1,
        CheckpointTimer(),
    )
    tallies, since, first = list[Tensor](), time.monotonic(), progress.step
    steps = _iterate_steps(progress, schedule, progress.stale >= patience)
    batches = prefetch_results(
        map(training_run.prepare_shard, range(progress.step, schedule.step_count)),
        count_local_workers(training_run.device_transfer.device),
    )
    with defer_signals() as asked, closing(batches):
        for step in track(steps, total=left, unit="steps"):
            if step in (first, schedule.frozen_step_count):
                training_run.begin_phase(step)
            tallies.append(training_run.run_step(step, next(batches)))
            progress = replace(progress, step=step + 1)
            end = progress.step == schedule.step_count
            looks, stop = (
                end or progress.step % schedule.evaluation_interval == 0,
                asked() and single,
            )
            marks = progress.step % CHECKPOINT_INTERVAL == 0
            due = end or stop or (marks and distributed.broadcast_from_first(rhythm.is_due()))
            if looks or due:
                progress = replace(
                    progress,
                    running=progress.running + training_run.check_losses(tallies, progress.step),
                )
                tallies.clear()
                if not training_run.is_compilation_decided:
                    took = (time.monotonic() - since) / (progress.step - first)
                    training_run.decide_compilation(took, schedule.step_count - progress.step)
            if (
                looks or marks
            ):  # whether or not a checkpoint is due: what is learnt depends on no clock
                training_run.synchronize_statistics()
            if looks:
                progress = _evaluate_progress(training_run, progress, holdout, checkpoint)
            if due or progress.stale >= patience:
                with rhythm.measure_writing():
                    checkpoint.save_state(
                        training_run.model,
                        training_run.optimizer,
                        progress,
                        training_run.extra_states,
                    )
            if stop or progress.stale >= patience:
                break
    return progress


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
    """Fine-tune `model` in place by cross-entropy on `images`, and go on where the checkpoint in `scratch` stands.

    holdout: images that no gradient sees; with them training may stop early, and the weights with their lowest loss
    are given back; without, it goes on to the end and the last are. treatment: what a batch is given before shift and
    crop. note: told what is out of the ordinary. Ranks that are together share each batch. On one CPU the result
    follows from the arguments to the bit, also across a kill and a resume.
    Raises `InputError`, which names the images of the batch, where the loss is no number.
    """
    if settings.head_only:
        plain = HostSource(meta, settings, treatment, select_device())
        head, seen, held, rest = prepare_head_training(
            model,
            training_images,
            holdout,
            plain,
            seed=seed,
            cache_folder=scratch_folder,
            track=track,
        )
        learnt = fit_network(
            head,
            meta,
            seen,
            rest,
            holdout=held,
            seed=seed,
            scratch_folder=scratch_folder,
            track=track,
            report_note=report_note,
        )
        return replace(learnt, model=model.eval())
    require_flexible_input(meta["backbone"], settings)
    schedule = TrainingSchedule(settings, len(training_images))
    if schedule.batch_size < 2 * distributed.count_ranks():
        raise InputError(
            f"train.batch_size: {schedule.batch_size} images a step are too few for {distributed.count_ranks()} processes"
        )
    optimizer = create_optimizer(move_to_device(model), settings)
    use = choose_precision(
        describe_device(select_device()),
        len(training_images) * int(np.prod(training_images.pixels.shape[1:])),
    )
    apply_precision(use)
    weights = compute_class_weights(training_images, len(meta["classes"]), settings)
    source = create_batch_source(training_images, meta, settings, treatment, use)
    course = TrainingRun(
        model,
        model,
        optimizer,
        meta,
        training_images,
        schedule,
        weights,
        source,
        seed,
        report_note,
        use,
        create_loss_scaler(use),
    )
    course.averaged_model, course.is_compiled = (
        WeightAverage(model, settings.ema_decay) if settings.ema_decay else None,
        settings.compile is True,
    )
    key = compute_training_key(
        settings,
        seed,
        training_images.image_rows,
        training_images.labels,
        meta["backbone"],
        treatment is not None,
    )
    store = TrainingCheckpoint(scratch_folder, key)
    progress = store.restore_state(model, optimizer, course.extra_states)
    progress = _train_steps(course, progress, holdout, store, track)
    if holdout:
        store.load_best_weights(model)
    else:
        model.load_state_dict(course.evaluated_model.state_dict())
    history = pd.DataFrame(progress.history, columns=list(HISTORY_DTYPES)).astype(HISTORY_DTYPES)
    passes = progress.step * schedule.batch_size
    return FitResult(
        model.eval(),
        history,
        progress.step,
        progress.best_step or progress.step,
        passes,
        progress.loss,
    )
