"""One step of a training: which photos, how fast, and what the optimizer makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import timm.optim
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.contracts import InputError
from pipeline.learning import ranks
from pipeline.learning.backbone import Meta, device
from pipeline.learning.batches import (
    Photos,
    Pixels,
    Treatment,
    batch_size,
    positions,
    shift_and_crop,
    step_seed,
    tensor,
)
from pipeline.learning.settings import FitSettings

LOOKS = 8  # at the holdout, where `every` does not say


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


def class_weights(photos: Photos, classes: int, settings: FitSettings) -> Tensor | None:
    """float32 [classes]: inverse frequency, 1 on average over the photos; 0 for a class without any."""
    if not settings.class_weights:
        return None
    count = np.bincount(photos.labels, minlength=classes)
    weight = np.where(count > 0, len(photos) / (np.maximum(count, 1) * max(1, int((count > 0).sum()))), 0.0)
    return torch.tensor(weight, dtype=torch.float32, device=device())


def optimizer_for(model: nn.Module, settings: FitSettings) -> torch.optim.Optimizer:
    """AdamW or SGD; biases and norms are exempt from decay."""
    made: torch.optim.Optimizer = cast(Any, timm.optim).create_optimizer_v2(
        model, opt=settings.optimizer, lr=settings.rate, weight_decay=settings.weight_decay, momentum=0.9
    )
    return made


@dataclass
class Course:
    """All that one step needs.

    learner: the model, or the model wrapped so that ranks average its gradients. parts: into how many portions a
    batch is divided, whose gradients are added up; more of them where memory ran out.
    """

    model: nn.Module
    learner: nn.Module
    optimizer: torch.optim.Optimizer
    meta: Meta
    photos: Photos
    schedule: Schedule
    weights: Tensor | None
    treatment: Treatment | None
    seed: int
    note: Callable[[str], None]
    parts: int = 1

    def batch(self, step: int) -> Photos:
        """The photos of a step, all ranks' together."""
        return self.photos.take(positions(len(self.photos), self.schedule.batch, step, self.seed))

    def seen(self, batch: Photos, step: int) -> tuple[Photos, Pixels]:
        """This rank's share of a batch, and its pixels as they are learnt from: treated, shifted and cropped."""
        share, seed = ranks.mine(len(batch)), step_seed(self.seed, step)
        own, settings = batch.take(share), self.schedule.settings
        pixels = own.load()
        if self.treatment:
            pixels = self.treatment(own.rows, pixels, step_seed(seed, ranks.rank()) if ranks.count() > 1 else seed)
        return own, shift_and_crop(pixels, settings.shift, settings.crop, seed, (share, len(batch)))

    def step(self, step: int) -> Tensor:
        """One optimizer step: this rank's share of the batch's loss and accuracy before it, float32 [2].

        Where memory runs out the batch is halved, and again, and the gradients are added up.
        """
        batch = self.batch(step)
        own, pixels = self.seen(batch, step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(step)
        while True:
            try:
                tally = self._learn(batch, own, pixels, step)
                break
            except torch.OutOfMemoryError as error:
                self._halve(len(own), error)
        self.optimizer.step()
        return tally

    def _learn(self, batch: Photos, own: Photos, pixels: Pixels, step: int) -> Tensor:
        """Leave the batch's gradients with the weights."""
        self.optimizer.zero_grad(set_to_none=True)
        portions = np.array_split(np.arange(len(own)), self.parts)
        tally = torch.zeros(2, device=device())
        with torch.random.fork_rng():
            torch.manual_seed(step_seed(self.seed, step))  # dropout
            for number, portion in enumerate(portions, 1):
                if number < len(portions):
                    with ranks.unsent(self.learner):
                        tally += self._portion(batch, own.take(portion), pixels[portion])
                else:
                    tally += self._portion(batch, own.take(portion), pixels[portion])
        return tally

    def _portion(self, batch: Photos, own: Photos, pixels: Pixels) -> Tensor:
        x, truth = tensor(pixels, self.meta, device()), torch.from_numpy(own.labels).to(device())
        with torch.autocast(x.device.type, torch.bfloat16, enabled=x.device.type == "cuda"):
            scores = self.learner(x).float()
            loss = self._loss(scores, truth, batch)
        torch.autograd.backward(loss * ranks.count() if ranks.count() > 1 else loss)  # gradients are averaged
        return torch.stack([loss.detach(), (scores.detach().argmax(1) == truth).float().sum() / len(batch)])

    def _loss(self, scores: Tensor, truth: Tensor, batch: Photos) -> Tensor:
        """Cross-entropy; of a portion its part in the mean over the whole batch."""
        smoothing, whole = self.schedule.settings.label_smoothing, len(truth) == len(batch)
        loss = F.cross_entropy(
            scores, truth, weight=self.weights, label_smoothing=smoothing, reduction="mean" if whole else "sum"
        )
        if whole:
            return loss
        labels = torch.from_numpy(batch.labels).to(scores.device)
        return loss / (len(batch) if self.weights is None else self.weights[labels].sum())

    def _halve(self, photos: int, error: torch.OutOfMemoryError) -> None:
        if self.parts >= photos:
            raise InputError("train.batch: one photo is too much for the memory; choose a smaller backbone") from error
        self.parts = min(2 * self.parts, photos)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.note(
            f"out of memory: each batch is learnt in {self.parts} parts whose gradients are added up; "
            "the same gradients but for batch norm, which sees one part at a time"
        )

    def check(self, tallies: list[Tensor], step: int) -> list[list[float]]:
        """Loss and accuracy of the last steps, `step` the first after them, as numbers, over all ranks.

        Raises `InputError`, which names the batch's photos, at the first loss that is no number.
        """
        if not tallies:
            return []
        values: list[list[float]] = ranks.summed(torch.stack(tallies)).tolist()
        for at, (loss, _) in enumerate(values, step - len(values)):
            if not math.isfinite(loss):
                names = self.batch(at).named()
                raise InputError(f"the loss is {loss} at step {at} on image {names}; lower rate, or see the photos")
        return values
