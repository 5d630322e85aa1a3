"""One step of a training: which photos, how fast, and what the optimizer makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
import timm.optim
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.contracts import InputError
from pipeline.learning import ranks
from pipeline.learning.backbone import Meta, device
from pipeline.learning.batches import Photos, batch_size, positions, step_seed
from pipeline.learning.feed import Courier, Parcel
from pipeline.learning.hardware import Means, autocast, card, compiling_pays, scaler_of
from pipeline.learning.phases import Average, resized, set_mode, side_at
from pipeline.learning.settings import FitSettings
from pipeline.learning.sources import Finish, Source

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

    @property
    def frozen(self) -> int:
        """The first step in which more than the head learns."""
        return round(self.settings.frozen * self.steps)

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
    """AdamW or SGD, fused: one pass over all weights; biases and norms are exempt from decay."""
    made: torch.optim.Optimizer = cast(Any, timm.optim).create_optimizer_v2(
        model, opt=settings.optimizer, lr=settings.rate, weight_decay=settings.weight_decay, momentum=0.9, fused=True
    )
    return made


@dataclass(frozen=True)
class Seen:
    """This rank's share of a batch, ready: its labels int64 [n], and that of which its pixels are made.

    photos: in the whole batch. weight: the sum of its class weights.
    """

    parcel: Parcel
    finish: Finish
    photos: int
    weight: float


@dataclass
class Course:
    """All that one step needs.

    learner: the model, or the model wrapped so that ranks average its gradients. means: what of the device is used;
    scaler: of the loss, by them. parts: into how many portions a batch is divided, whose gradients are added up; more
    of them where memory ran out. mean: of the weights, where it is kept. frozen, compiled: how the learner is now.
    considered: whether it was asked if compiling pays.
    """

    model: nn.Module
    learner: nn.Module
    optimizer: torch.optim.Optimizer
    meta: Meta
    photos: Photos
    schedule: Schedule
    weights: Tensor | None
    source: Source
    seed: int
    note: Callable[[str], None]
    means: Means = field(default_factory=Means)
    scaler: Any = field(default_factory=lambda: scaler_of(Means()))
    parts: int = 1
    mean: Average | None = None
    frozen: bool = False
    compiled: bool = False
    considered: bool = False
    courier: Courier = field(default_factory=lambda: Courier.to(device()))

    @cached_property
    def host_weights(self) -> NDArray[np.float32]:
        """float32 [classes]: `weights`, for the host."""
        return np.ones(0, np.float32) if self.weights is None else self.weights.cpu().numpy()

    @property
    def judged(self) -> nn.Module:
        """What is asked at looks, and kept: the mean of the weights, or they."""
        return self.mean.module if self.mean else self.model

    @property
    def more(self) -> dict[str, Any]:
        """What a checkpoint holds beside the model and the optimizer."""
        return {"scaler": self.scaler} | ({"mean": self.mean} if self.mean else {})

    def settle(self) -> None:
        """Give all ranks the same running statistics."""
        ranks.settle(self.model)
        if self.mean:
            ranks.settle(self.mean.module)

    def begin(self, step: int) -> None:
        """Set everything to the mode of `step`: the first one, or that in which the whole network begins to learn.

        Ranks average the gradients of what learns now: the model is spread anew where that changes.
        """
        frozen = step < self.schedule.frozen
        set_mode(self.model, frozen=frozen)
        if self.learner is self.model or frozen != self.frozen:
            self.learner, self.frozen = ranks.spread(self.model), frozen
            if self.compiled:
                self.compile()

    def compile(self) -> None:
        """From now on the network is compiled; its next step takes a minute or two."""
        self.learner, self.considered, self.compiled = cast(nn.Module, torch.compile(self.learner)), True, True

    def consider(self, seconds: float, left: int) -> None:
        """Once: compile, where the setting leaves it open and `left` steps of so many seconds pay for it."""
        self.considered = True
        pays = self.schedule.settings.compile == "auto" and compiling_pays(card(self.courier.device), left, seconds)
        if ranks.from_first(pays):
            self.compile()
            self.note(f"the network is compiled: {left:,} steps of {seconds:.3g} s are left")

    def batch(self, step: int) -> Photos:
        """The photos of a step, all ranks' together."""
        return self.photos.take(positions(len(self.photos), self.schedule.batch, step, self.seed))

    def prepare(self, step: int) -> Callable[[], Seen]:
        """How this rank's share of a step is made ready, in any thread: treated, shifted and cropped.

        Who shares the work is asked here and now.
        """
        batch, seed = self.batch(step), step_seed(self.seed, step)
        share, several, rank = ranks.mine(len(batch)), ranks.count() > 1, ranks.rank()
        own, seeds = batch.take(share), (step_seed(seed, rank) if several else seed, seed)
        weight = len(batch) if self.weights is None else float(self.host_weights[batch.labels].sum())

        def make() -> Seen:
            sent, finish = self.source.prepare(own, share, seeds)
            return Seen(self.courier.send(torch.from_numpy(own.labels), *sent), finish, len(batch), weight)

        return make

    def step(self, step: int, seen: Seen) -> Tensor:
        """One optimizer step: this rank's share of the batch's loss and accuracy before it, float32 [2].

        Where memory runs out the batch is halved, and again, and the gradients are added up.
        """
        truth, *sent = seen.parcel.received()
        x = seen.finish(*sent)
        if x.ndim == 4:
            x = resized(x, side_at(step, self.schedule.steps, x.shape[-1], self.schedule.settings))
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(step)
        while True:
            try:
                tally = self._learn(x, truth, seen, step)
                break
            except torch.OutOfMemoryError as error:
                self._halve(len(truth), error)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.mean:
            self.mean.follow(self.model, step)
        return tally

    def _learn(self, x: Tensor, truth: Tensor, seen: Seen, step: int) -> Tensor:
        """Leave the batch's gradients with the weights."""
        self.optimizer.zero_grad(set_to_none=True)
        portions = list(zip(x.tensor_split(self.parts), truth.tensor_split(self.parts), strict=True))
        tally = torch.zeros(2, device=x.device)
        with torch.random.fork_rng(devices=[x.device] if x.device.type == "cuda" else []):
            torch.manual_seed(step_seed(self.seed, step))  # dropout
            for portion in portions[:-1]:
                with ranks.unsent(self.learner):
                    tally += self._portion(*portion, seen)
            return tally + self._portion(*portions[-1], seen)

    def _portion(self, x: Tensor, truth: Tensor, seen: Seen) -> Tensor:
        with autocast(x.device, self.means):
            scores = self.learner(x).float()
            loss = self._loss(scores, truth, seen)
        whole = loss * ranks.count() if ranks.count() > 1 else loss  # gradients are averaged
        torch.autograd.backward(self.scaler.scale(whole))
        return torch.stack([loss.detach(), (scores.detach().argmax(1) == truth).float().sum() / seen.photos])

    def _loss(self, scores: Tensor, truth: Tensor, seen: Seen) -> Tensor:
        """Cross-entropy; of a portion its part in the mean over the whole batch."""
        smoothing, whole = self.schedule.settings.label_smoothing, len(truth) == seen.photos
        loss = F.cross_entropy(
            scores, truth, weight=self.weights, label_smoothing=smoothing, reduction="mean" if whole else "sum"
        )
        return loss if whole else loss / seen.weight

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
