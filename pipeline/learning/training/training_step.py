"""One step of a training: which images, how fast, and what the optimizer makes of them."""

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
from pipeline.learning import distributed
from pipeline.learning.models.backbone import ModelMetadata, select_device
from pipeline.learning.training.batch_prefetch import DeviceBatch, DeviceTransfer
from pipeline.learning.training.batch_sampling import (
    TrainingImages,
    choose_batch_size,
    derive_step_seed,
    select_batch_positions,
)
from pipeline.learning.training.batch_sources import BatchSource, PixelBuilder
from pipeline.learning.training.device_policy import (
    PrecisionPolicy,
    create_autocast,
    create_loss_scaler,
    describe_device,
    is_compiling_worthwhile,
)
from pipeline.learning.training.training_phases import (
    WeightAverage,
    compute_image_side,
    resize_images,
    set_training_mode,
)
from pipeline.learning.training_settings import FitSettings

DEFAULT_HOLDOUT_EVALUATIONS = 8  # at the holdout, where `every` does not say


@dataclass(frozen=True)
class TrainingSchedule:
    """Sizes that follow from the settings and the number of images."""

    settings: FitSettings
    image_count: int

    @property
    def batch_size(self) -> int:
        """Images a step."""
        return choose_batch_size(self.image_count, self.settings.batch_size)

    @property
    def step_count(self) -> int:
        """Steps in all."""
        return max(
            1,
            round(
                (self.settings.image_passes or self.settings.epochs * self.image_count)
                / self.batch_size
            ),
        )

    @property
    def evaluation_interval(self) -> int:
        """Steps between two looks at the holdout."""
        return self.settings.evaluation_interval or max(
            1, math.ceil(self.step_count / DEFAULT_HOLDOUT_EVALUATIONS)
        )

    @property
    def frozen_step_count(self) -> int:
        """The first step in which more than the head learns."""
        return round(self.settings.frozen_share * self.step_count)

    def compute_learning_rate(self, step: int) -> float:
        """Learning rate of step `step` (from 0): linear warm-up, then a cosine to zero (Loshchilov and Hutter 2017)."""
        warm = round(self.settings.warmup_share * self.step_count)
        if step < warm:
            return self.settings.learning_rate * (step + 1) / (warm + 1)
        return (
            self.settings.learning_rate
            * 0.5
            * (1 + math.cos(math.pi * (step - warm) / max(1, self.step_count - warm)))
        )


def compute_class_weights(
    training_images: TrainingImages, class_count: int, settings: FitSettings
) -> Tensor | None:
    """float32 [classes]: inverse frequency, 1 on average over the images; 0 for a class without any."""
    if not settings.class_weights:
        return None
    count = np.bincount(training_images.labels, minlength=class_count)
    weight = np.where(
        count > 0,
        len(training_images) / (np.maximum(count, 1) * max(1, int((count > 0).sum()))),
        0.0,
    )
    return torch.tensor(weight, dtype=torch.float32, device=select_device())


def create_optimizer(model: nn.Module, settings: FitSettings) -> torch.optim.Optimizer:
    """AdamW or SGD, fused: one pass over all weights; biases and norms are exempt from decay."""
    made: torch.optim.Optimizer = cast(Any, timm.optim).create_optimizer_v2(
        model,
        opt=settings.optimizer,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        momentum=0.9,
        fused=True,
    )
    return made


@dataclass(frozen=True)
class BatchShard:
    """This rank's share of a batch, ready: its labels int64 [n], and that of which its pixels are made.

    images: in the whole batch. weight: the sum of its class weights.
    """

    device_batch: DeviceBatch
    build_pixels: PixelBuilder
    batch_image_count: int
    batch_weight: float


@dataclass
class TrainingRun:
    """All that one step needs.

    learner: the model, or the model wrapped so that ranks average its gradients. means: what of the device is used;
    scaler: of the loss, by them. parts: into how many portions a batch is divided, whose gradients are added up; more
    of them where memory ran out. mean: of the weights, where it is kept. frozen, compiled: how the learner is now.
    considered: whether it was asked if compiling pays.
    """

    model: nn.Module
    wrapped_model: nn.Module
    optimizer: torch.optim.Optimizer
    meta: ModelMetadata
    training_images: TrainingImages
    schedule: TrainingSchedule
    class_weights: Tensor | None
    batch_source: BatchSource
    seed: int
    report_note: Callable[[str], None]
    precision: PrecisionPolicy = field(default_factory=PrecisionPolicy)
    loss_scaler: Any = field(default_factory=lambda: create_loss_scaler(PrecisionPolicy()))
    portion_count: int = 1
    averaged_model: WeightAverage | None = None
    is_backbone_frozen: bool = False
    is_compiled: bool = False
    is_compilation_decided: bool = False
    device_transfer: DeviceTransfer = field(
        default_factory=lambda: DeviceTransfer.create_for_device(select_device())
    )

    @cached_property
    def host_class_weights(self) -> NDArray[np.float32]:
        """float32 [classes]: `weights`, for the host."""
        return (
            np.ones(0, np.float32)
            if self.class_weights is None
            else self.class_weights.cpu().numpy()
        )

    @property
    def evaluated_model(self) -> nn.Module:
        """What is asked at looks, and kept: the mean of the weights, or they."""
        return self.averaged_model.module if self.averaged_model else self.model

    @property
    def extra_states(self) -> dict[str, Any]:
        """What a checkpoint holds beside the model and the optimizer."""
        return {"scaler": self.loss_scaler} | (
            {"mean": self.averaged_model} if self.averaged_model else {}
        )

    def synchronize_statistics(self) -> None:
        """Give all ranks the same running statistics."""
        distributed.synchronize_statistics(self.model)
        if self.averaged_model:
            distributed.synchronize_statistics(self.averaged_model.module)

    def begin_phase(self, step: int) -> None:
        """Set everything to the mode of `step`: the first one, or that in which the whole network begins to learn.

        Ranks average the gradients of what learns now: the model is spread anew where that changes.
        """
        frozen = step < self.schedule.frozen_step_count
        set_training_mode(self.model, is_frozen=frozen)
        if self.wrapped_model is self.model or frozen != self.is_backbone_frozen:
            self.wrapped_model, self.is_backbone_frozen = (
                distributed.distribute_model(self.model),
                frozen,
            )
            if self.is_compiled:
                self.compile_network()

    def compile_network(self) -> None:
        """From now on the network is compiled; its next step takes a minute or two."""
        self.wrapped_model, self.is_compilation_decided, self.is_compiled = (
            cast(nn.Module, torch.compile(self.wrapped_model)),
            True,
            True,
        )

    def decide_compilation(self, step_seconds: float, remaining_steps: int) -> None:
        """Once: compile, where the setting leaves it open and `left` steps of so many seconds pay for it."""
        self.is_compilation_decided = True
        pays = self.schedule.settings.compile == "auto" and is_compiling_worthwhile(
            describe_device(self.device_transfer.device), remaining_steps, step_seconds
        )
        if distributed.broadcast_from_first(pays):
            self.compile_network()
            self.report_note(
                f"the network is compiled: {remaining_steps:,} steps of {step_seconds:.3g} s are left"
            )

    def select_batch(self, step: int) -> TrainingImages:
        """The images of a step, all ranks' together."""
        return self.training_images.select_images(
            select_batch_positions(
                len(self.training_images), self.schedule.batch_size, step, self.seed
            )
        )

    def prepare_shard(self, step: int) -> Callable[[], BatchShard]:
        """How this rank's share of a step is made ready, in any thread: treated, shifted and cropped.

        Who shares the work is asked here and now.
        """
        batch, seed = self.select_batch(step), derive_step_seed(self.seed, step)
        share, several, rank = (
            distributed.select_rank_items(len(batch)),
            distributed.count_ranks() > 1,
            distributed.get_rank(),
        )
        own, seeds = (
            batch.select_images(share),
            (derive_step_seed(seed, rank) if several else seed, seed),
        )
        weight = (
            len(batch)
            if self.class_weights is None
            else float(self.host_class_weights[batch.labels].sum())
        )

        def make() -> BatchShard:
            sent, finish = self.batch_source.prepare_batch(own, share, seeds)
            return BatchShard(
                self.device_transfer.send_tensors(torch.from_numpy(own.labels), *sent),
                finish,
                len(batch),
                weight,
            )

        return make

    def run_step(self, step: int, shard: BatchShard) -> Tensor:
        """One optimizer step: this rank's share of the batch's loss and accuracy before it, float32 [2].

        Where memory runs out the batch is halved, and again, and the gradients are added up.
        """
        truth, *sent = shard.device_batch.receive_tensors()
        x = shard.build_pixels(*sent)
        if x.ndim == 4:
            x = resize_images(
                x,
                compute_image_side(
                    step, self.schedule.step_count, x.shape[-1], self.schedule.settings
                ),
            )
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.compute_learning_rate(step)
        while True:
            try:
                tally = self._accumulate_gradients(x, truth, shard, step)
                break
            except torch.OutOfMemoryError as error:
                self._halve_portions(len(truth), error)
        self.loss_scaler.step(self.optimizer)
        self.loss_scaler.update()
        if self.averaged_model:
            self.averaged_model.update_average(self.model, step)
        return tally

    def _accumulate_gradients(
        self, inputs: Tensor, labels: Tensor, shard: BatchShard, step: int
    ) -> Tensor:
        """Leave the batch's gradients with the weights."""
        self.optimizer.zero_grad(set_to_none=True)
        portions = list(
            zip(
                inputs.tensor_split(self.portion_count),
                labels.tensor_split(self.portion_count),
                strict=True,
            )
        )
        tally = torch.zeros(2, device=inputs.device)
        with torch.random.fork_rng(devices=[inputs.device] if inputs.device.type == "cuda" else []):
            torch.manual_seed(derive_step_seed(self.seed, step))  # dropout
            for portion in portions[:-1]:
                with distributed.defer_gradient_averaging(self.wrapped_model):
                    tally += self._backpropagate_portion(*portion, shard)
            return tally + self._backpropagate_portion(*portions[-1], shard)

    def _backpropagate_portion(self, inputs: Tensor, labels: Tensor, shard: BatchShard) -> Tensor:
        with create_autocast(inputs.device, self.precision):
            scores = self.wrapped_model(inputs).float()
            loss = self._compute_loss(scores, labels, shard)
        whole = (
            loss * distributed.count_ranks() if distributed.count_ranks() > 1 else loss
        )  # gradients are averaged
        torch.autograd.backward(self.loss_scaler.scale(whole))
        return torch.stack(
            [
                loss.detach(),
                (scores.detach().argmax(1) == labels).float().sum() / shard.batch_image_count,
            ]
        )

    def _compute_loss(self, scores: Tensor, labels: Tensor, shard: BatchShard) -> Tensor:
        """Cross-entropy; of a portion its part in the mean over the whole batch."""
        smoothing, whole = (
            self.schedule.settings.label_smoothing,
            len(labels) == shard.batch_image_count,
        )
        loss = F.cross_entropy(
            scores,
            labels,
            weight=self.class_weights,
            label_smoothing=smoothing,
            reduction="mean" if whole else "sum",
        )
        return loss if whole else loss / shard.batch_weight

    def _halve_portions(self, shard_size: int, error: torch.OutOfMemoryError) -> None:
        if self.portion_count >= shard_size:
            raise InputError(
                "train.batch_size: one image is too much for the memory; choose a smaller backbone"
            ) from error
        self.portion_count = min(2 * self.portion_count, shard_size)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.report_note(
            f"out of memory: each batch is learnt in {self.portion_count} parts whose gradients are added up; "
            "the same gradients but for batch norm, which sees one part at a time"
        )

    def check_losses(self, step_metrics: list[Tensor], step: int) -> list[list[float]]:
        """Loss and accuracy of the last steps, `step` the first after them, as numbers, over all ranks.

        Raises `InputError`, which names the batch's images, at the first loss that is no number.
        """
        if not step_metrics:
            return []
        values: list[list[float]] = distributed.sum_over_ranks(torch.stack(step_metrics)).tolist()
        for at, (loss, _) in enumerate(values, step - len(values)):
            if not math.isfinite(loss):
                names = self.select_batch(at).format_image_ids()
                raise InputError(
                    f"the loss is {loss} at step {at} on image {names}; lower rate, or see the images"
                )
        return values
