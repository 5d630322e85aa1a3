"""The one training loop, for `train` and `retrain` alike. Killed at any step it resumes to the same weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import timm.optim
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.contracts import InputError, Track, silent
from pipeline.learning.backbone import Meta, device, placed
from pipeline.learning.batches import Photos, Treatment, batch_size, positions, shift_and_crop, step_seed, tensor
from pipeline.learning.calibration import negative_log_likelihood
from pipeline.learning.checkpoint import Checkpoint, Progress, key_of
from pipeline.learning.predict import logits
from pipeline.learning.settings import HISTORY, FitSettings

LOOKS = 8  # at the holdout, where `every` does not say
CHECKPOINT = 50  # steps between checkpoints
SAMPLE = 512  # training photos that are looked at beside the holdout, as it is: no augmentation, no smoothing


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


@dataclass(frozen=True)
class Schedule:
    """Sizes that follow from the settings and the number of photos."""

    settings: FitSettings
    photos: int

    @property
    def batch(self) -> int:
        """Photos a step."""
        return batch_size(self.photos, self.settings.batch)

    @property
    def steps(self) -> int:
        """Steps in all."""
        return max(1, round((self.settings.passes or self.settings.epochs * self.photos) / self.batch))

    @property
    def every(self) -> int:
        """Steps between two looks at the holdout."""
        return self.settings.every or max(1, math.ceil(self.steps / LOOKS))

    def rate(self, step: int) -> float:
        """Learning rate of step `step` (from 0): linear warm-up, then a cosine to zero (Loshchilov and Hutter 2017)."""
        warm = round(self.settings.warmup * self.steps)
        if step < warm:
            return self.settings.rate * (step + 1) / (warm + 1)
        return self.settings.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))


def _class_weights(photos: Photos, classes: int, settings: FitSettings) -> Tensor | None:
    """float32 [classes]: inverse frequency, 1 on average over the photos; 0 for a class without any."""
    if not settings.class_weights:
        return None
    count = np.bincount(photos.labels, minlength=classes)
    weight = np.where(count > 0, len(photos) / (np.maximum(count, 1) * max(1, int((count > 0).sum()))), 0.0)
    return torch.tensor(weight, dtype=torch.float32, device=device())


@dataclass(frozen=True)
class _Course:
    """All that one step needs."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    meta: Meta
    photos: Photos
    schedule: Schedule
    weights: Tensor | None
    treatment: Treatment | None
    seed: int

    def _photos(self, step: int) -> tuple[Tensor, Tensor, Photos]:
        picked = self.photos.take(positions(len(self.photos), self.schedule.batch, step, self.seed))
        pixels, seed = picked.load(), step_seed(self.seed, step)
        if self.treatment:
            pixels = self.treatment(picked.rows, pixels, seed)
        pixels = shift_and_crop(pixels, self.schedule.settings.shift, self.schedule.settings.crop, seed)
        return tensor(pixels, self.meta, device()), torch.from_numpy(picked.labels).to(device()), picked

    def step(self, step: int) -> tuple[float, float]:
        """Loss and accuracy of one optimizer step, before it. Raises `InputError` where the loss is no number."""
        x, truth, picked = self._photos(step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(step)
        with torch.random.fork_rng(), torch.autocast(x.device.type, torch.bfloat16, enabled=x.device.type == "cuda"):
            torch.manual_seed(step_seed(self.seed, step))  # dropout
            scores = self.model(x).float()
            smoothing = self.schedule.settings.label_smoothing
            loss = F.cross_entropy(scores, truth, weight=self.weights, label_smoothing=smoothing)
        if not math.isfinite(value := loss.item()):
            rows = ", ".join(map(str, picked.rows.tolist()))
            raise InputError(f"the loss is {value} at step {step} on image rows {rows}; lower rate, or see the photos")
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimizer.step()
        return value, float((scores.argmax(1) == truth).float().mean())


def _optimizer(model: nn.Module, settings: FitSettings) -> torch.optim.Optimizer:
    made: torch.optim.Optimizer = cast(Any, timm.optim).create_optimizer_v2(
        model, opt=settings.optimizer, lr=settings.rate, weight_decay=settings.weight_decay, momentum=0.9
    )
    return made


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


def _look(course: _Course, progress: Progress, holdout: Photos | None, store: Checkpoint) -> Progress:
    """Enter what the photos learnt from and the holdout say now; keep the weights with the lowest holdout loss."""
    running = np.mean(progress.running, axis=0)
    if not holdout:
        rows = [_row(progress, course.schedule, "train", *running.tolist())]
        return replace(progress, history=[*progress.history, *rows], running=[], loss=float(running[0]))
    order = np.random.default_rng(course.seed).permutation(len(course.photos))
    sample = course.photos.take(np.sort(order[: min(SAMPLE, len(holdout))]))
    held = _ask(course.model, course.meta, holdout)
    rows = [
        _row(progress, course.schedule, "train", *_ask(course.model, course.meta, sample)),
        _row(progress, course.schedule, "holdout", *held),
    ]
    progress = replace(progress, history=[*progress.history, *rows], running=[], loss=float(running[0]))
    if progress.best_step and held[0] >= progress.best_loss:
        return replace(progress, stale=progress.stale + 1)
    store.keep_best(course.model)
    return replace(progress, best_step=progress.step, best_loss=held[0], stale=0)


def _steps(progress: Progress, schedule: Schedule, stopped: bool) -> Iterator[int]:
    yield from range(progress.step, progress.step if stopped else schedule.steps)


def _learn(course: _Course, progress: Progress, holdout: Photos | None, store: Checkpoint, track: Track) -> Progress:
    """Go on to the end, or to where the holdout has not improved for `patience` looks."""
    schedule, patience = course.schedule, course.schedule.settings.patience
    left = schedule.steps - progress.step
    for step in track(_steps(progress, schedule, progress.stale >= patience), total=left, what="steps"):
        course.model.train()
        progress = replace(progress, step=step + 1, running=[*progress.running, list(course.step(step))])
        if looks := progress.step % schedule.every == 0 or progress.step == schedule.steps:
            progress = _look(course, progress, holdout, store)
        if looks or progress.step % CHECKPOINT == 0:
            store.save(course.model, course.optimizer, progress)
        if progress.stale >= patience:
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
) -> Fitted:
    """Fine-tune `model` in place by cross-entropy on `photos`, and go on where the checkpoint in `scratch` stands.

    holdout: photos that no gradient sees; with them training may stop early, and the weights with their lowest loss
    are given back; without, it goes on to the end and the last are. treatment: what a batch is given before shift and
    crop. On one CPU the result follows from the arguments to the bit, also across a kill and a resume.
    Raises `InputError`, which names the rows of the batch, where the loss is no number.
    """
    schedule = Schedule(settings, len(photos))
    optimizer = _optimizer(placed(model), settings)
    key = key_of(settings, seed, photos.rows, photos.labels, meta["backbone"], treatment is not None)
    store = Checkpoint(scratch, key)
    progress = store.restore(model, optimizer)
    weights = _class_weights(photos, len(meta["classes"]), settings)
    course = _Course(model, optimizer, meta, photos, schedule, weights, treatment, seed)
    progress = _learn(course, progress, holdout, store, track)
    if holdout:
        store.load_best(model)
    history = pd.DataFrame(progress.history, columns=list(HISTORY)).astype(HISTORY)
    passes = progress.step * schedule.batch
    return Fitted(model.eval(), history, progress.step, progress.best_step or progress.step, passes, progress.loss)
