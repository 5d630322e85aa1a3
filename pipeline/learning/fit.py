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

from pipeline.contracts import InputError, Track, silent
from pipeline.interrupt import put_off
from pipeline.learning import ranks
from pipeline.learning.backbone import Meta, device, placed
from pipeline.learning.batches import Photos, Treatment
from pipeline.learning.calibration import negative_log_likelihood
from pipeline.learning.checkpoint import Checkpoint, Progress, Rhythm, key_of
from pipeline.learning.course import Course, Schedule, class_weights, optimizer_for
from pipeline.learning.feed import ahead, workers_here
from pipeline.learning.hardware import card, means, put_to_use, scaler_of
from pipeline.learning.head import alone
from pipeline.learning.phases import Average, require_any_side
from pipeline.learning.predict import logits
from pipeline.learning.settings import HISTORY, FitSettings
from pipeline.learning.sources import Hosted, source_of

CHECKPOINT = 50  # steps between checkpoints, at least
LOOKED = 10_000  # photos of the holdout that a look asks, at most
SAMPLE = (64, 512)  # fewest and most training photos looked at, as the holdout is: no augmentation, no smoothing


@dataclass(frozen=True)
class Fitted:
    """A model after its training.

    history: rows of the graph page's `history`. best_step: the step whose weights the model has. loss: mean training
    loss since the last look.
    """

    model: nn.Module
    history: pd.DataFrame
    steps: int
    best_step: int
    passes: int
    loss: float


def _ask(model: nn.Module, meta: Meta, photos: Photos) -> tuple[float, float]:
    """Loss (nats) and accuracy on photos as they are."""
    scores = logits(model, photos.load(), meta)
    return negative_log_likelihood(scores, photos.labels), float((scores.argmax(1) == photos.labels).mean())


def _row(progress: Progress, schedule: Schedule, split: str, loss: float, accuracy: float) -> dict[str, object]:
    step = progress.step
    return {
        "step": step,
        "passes": step * schedule.batch,
        "split": split,
        "loss": loss,
        "accuracy": accuracy,
        "rate": schedule.rate(step - 1),
    }


def _look(course: Course, progress: Progress, holdout: Photos | None, store: Checkpoint) -> Progress:
    """Enter what the photos learnt from and the holdout say now; keep the weights with the lowest holdout loss."""
    running = np.mean(progress.running, axis=0)
    if not holdout:
        rows = [_row(progress, course.schedule, "train", *running.tolist())]
        return replace(progress, history=[*progress.history, *rows], running=[], loss=float(running[0]))
    rng = np.random.default_rng(course.seed)
    order = rng.permutation(len(course.photos))
    if len(holdout) > LOOKED:
        holdout = holdout.take(np.sort(rng.permutation(len(holdout))[:LOOKED]))
    size = min(int(np.clip(len(holdout) // 4, *SAMPLE)), len(holdout))  # a look at the holdout costs enough
    sample = course.photos.take(np.sort(order[:size]))
    held = _ask(course.judged, course.meta, holdout)
    rows = [
        _row(progress, course.schedule, "train", *_ask(course.judged, course.meta, sample)),
        _row(progress, course.schedule, "holdout", *held),
    ]
    progress = replace(progress, history=[*progress.history, *rows], running=[], loss=float(running[0]))
    if progress.best_step and held[0] >= progress.best_loss:
        return replace(progress, stale=progress.stale + 1)
    store.keep_best(course.judged)
    return replace(progress, best_step=progress.step, best_loss=held[0], stale=0)


def _steps(progress: Progress, schedule: Schedule, stopped: bool) -> Iterator[int]:
    yield from range(progress.step, progress.step if stopped else schedule.steps)


def _learn(course: Course, progress: Progress, holdout: Photos | None, store: Checkpoint, track: Track) -> Progress:
    """Go on to the end, or to where the holdout has not improved for `patience` looks; asked to stop, save and stop.

    Batches are made ready ahead. Losses stay on the device, and are read at looks and checkpoints only.
    """
    schedule, patience = course.schedule, course.schedule.settings.patience
    left, single, rhythm = schedule.steps - progress.step, ranks.count() == 1, Rhythm()
    tallies, since, first = list[Tensor](), time.monotonic(), progress.step
    steps = _steps(progress, schedule, progress.stale >= patience)
    batches = ahead(map(course.prepare, range(progress.step, schedule.steps)), workers_here(course.courier.device))
    with put_off() as asked, closing(batches):
        for step in track(steps, total=left, what="steps"):
            if step in (first, schedule.frozen):
                course.begin(step)
            tallies.append(course.step(step, next(batches)))
            progress = replace(progress, step=step + 1)
            end = progress.step == schedule.steps
            looks, stop = end or progress.step % schedule.every == 0, asked() and single
            marks = progress.step % CHECKPOINT == 0
            due = end or stop or (marks and ranks.from_first(rhythm.due()))
            if looks or due:
                progress = replace(progress, running=progress.running + course.check(tallies, progress.step))
                tallies.clear()
                if not course.considered:
                    took = (time.monotonic() - since) / (progress.step - first)
                    course.consider(took, schedule.steps - progress.step)
            if looks or marks:  # whether or not a checkpoint is due: what is learnt depends on no clock
                course.settle()
            if looks:
                progress = _look(course, progress, holdout, store)
            if due or progress.stale >= patience:
                with rhythm.writing():
                    store.save(course.model, course.optimizer, progress, course.more)
            if stop or progress.stale >= patience:
                break
    return progress


def fit(
    model: nn.Module,
    meta: Meta,
    photos: Photos,
    settings: FitSettings,
    *,
    holdout: Photos | None = None,
    treatment: Treatment | None = None,
    seed: int,
    scratch: Path,
    track: Track = silent,
    note: Callable[[str], None] = lambda line: None,
) -> Fitted:
    """Fine-tune `model` in place by cross-entropy on `photos`, and go on where the checkpoint in `scratch` stands.

    holdout: photos that no gradient sees; with them training may stop early, and the weights with their lowest loss
    are given back; without, it goes on to the end and the last are. treatment: what a batch is given before shift and
    crop. note: told what is out of the ordinary. Ranks that are together share each batch. On one CPU the result
    follows from the arguments to the bit, also across a kill and a resume.
    Raises `InputError`, which names the photos of the batch, where the loss is no number.
    """
    if settings.head_only:
        plain = Hosted(meta, settings, treatment, device())
        head, seen, held, rest = alone(model, photos, holdout, plain, seed=seed, folder=scratch, track=track)
        learnt = fit(head, meta, seen, rest, holdout=held, seed=seed, scratch=scratch, track=track, note=note)
        return replace(learnt, model=model.eval())
    require_any_side(meta["backbone"], settings)
    schedule = Schedule(settings, len(photos))
    if schedule.batch < 2 * ranks.count():
        raise InputError(f"train.batch: {schedule.batch} photos a step are too few for {ranks.count()} processes")
    optimizer = optimizer_for(placed(model), settings)
    use = means(card(device()), len(photos) * int(np.prod(photos.pixels.shape[1:])))
    put_to_use(use)
    weights = class_weights(photos, len(meta["classes"]), settings)
    source = source_of(photos, meta, settings, treatment, use)
    course = Course(model, model, optimizer, meta, photos, schedule, weights, source, seed, note, use, scaler_of(use))
    course.mean, course.compiled = Average(model, settings.ema) if settings.ema else None, settings.compile is True
    key = key_of(settings, seed, photos.rows, photos.labels, meta["backbone"], treatment is not None)
    store = Checkpoint(scratch, key)
    progress = store.restore(model, optimizer, course.more)
    progress = _learn(course, progress, holdout, store, track)
    if holdout:
        store.load_best(model)
    else:
        model.load_state_dict(course.judged.state_dict())
    history = pd.DataFrame(progress.history, columns=list(HISTORY)).astype(HISTORY)
    passes = progress.step * schedule.batch
    return Fitted(model.eval(), history, progress.step, progress.best_step or progress.step, passes, progress.loss)
