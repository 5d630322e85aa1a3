"""One step of a training: its images, its learning rate, and the update of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.contracts import InputError
from pipeline.learning.batches.batch_prefetch import BatchShard, DeviceTransfer
from pipeline.learning.batches.batch_sampling import (
    TrainingImages,
    derive_step_seed,
    select_batch_positions,
)
from pipeline.learning.batches.batch_sources import BatchSource
from pipeline.learning.distributed import (
    VOLTA,
    get_fabric,
    select_process_items,
    set_up_model,
    synchronize_statistics,
)
from pipeline.learning.models.backbone import ModelMetadata
from pipeline.learning.training.training_phases import (
    WeightAverage,
    compute_image_side,
    resize_images,
    set_training_mode,
)
from pipeline.learning.training.training_setup import TrainingSchedule
from pipeline.learning.training_settings import BLACK_LEVEL, BLACK_PERCENTILE

if TYPE_CHECKING:
    from lightning_fabric import Fabric

COMPILE_SAVED_SHARE = 0.1
"""Share of a step that compiling saves; a low estimate."""
COMPILE_SECONDS = 120.0
"""Time that compiling takes; a high estimate."""


def is_compiling_worthwhile(
    compute_capability: tuple[int, int] | None, remaining_steps: int, step_seconds: float
) -> bool:
    """Return whether `torch.compile` is expected to save more time than it takes.

    It needs Triton, and so compute capability 7.0. On the CPU it is never worthwhile.

    Args:
        compute_capability: of the GPU; None for the CPU.
        remaining_steps: steps that are left.
        step_seconds: duration of one step without compiling.
    """
    if compute_capability is None or compute_capability < VOLTA:
        return False
    return remaining_steps * step_seconds * COMPILE_SAVED_SHARE > COMPILE_SECONDS


def find_black_images(inputs: Tensor, meta: ModelMetadata) -> Tensor:
    """Return whether each image is black (see `BLACK_LEVEL`), bool [n]; embeddings never are.

    Args:
        inputs: normalized images, float [n, 3, S, S], or embeddings, [n, D].
        meta: the model's metadata with `mean` and `std`, three shares of 255 each.
    """
    if inputs.ndim == 2:
        return torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device)
    mean, std = (inputs.new_tensor(meta[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    is_dark = inputs < (BLACK_LEVEL / 255 - mean) / std
    return is_dark.float().mean((1, 2, 3)) >= BLACK_PERCENTILE / 100


@dataclass
class TrainingRun:
    """Everything that one step needs.

    Attributes:
        model: the model in training.
        wrapped_model: the model as Fabric calls it; None before the first step.
        optimizer: the optimizer of the model.
        meta: the model's metadata.
        training_images: the images to train on.
        schedule: the sizes of the training.
        class_weights: weight of each class in the loss, float32 [classes]; None for equal weights.
        class_log_priors: what is added to the logits in the loss, float32 [classes]; None without
            logit adjustment.
        batch_source: source of the pixels.
        seed: seed of everything that is random.
        report_note: receives a line about everything out of the ordinary.
        fabric: the services of the device and of the processes that share the work.
        portion_count: number of portions of a batch whose gradients are summed; it grows when
            memory runs out.
        averaged_model: average of the weights; None without `ema_decay`.
        start_model: the model as it was at the start; None without `distillation`.
        is_backbone_frozen: whether the head alone is trained at the moment.
        is_compiled: whether the network is compiled.
        is_compilation_decided: whether it was already decided if compiling is worthwhile.
        device_transfer: the way of batches to the device.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    meta: ModelMetadata
    training_images: TrainingImages
    schedule: TrainingSchedule
    class_weights: Tensor | None
    class_log_priors: Tensor | None
    batch_source: BatchSource
    seed: int
    report_note: Callable[[str], None]
    fabric: Fabric = field(default_factory=get_fabric)
    wrapped_model: Any = None
    portion_count: int = 1
    averaged_model: WeightAverage | None = None
    start_model: nn.Module | None = None
    is_backbone_frozen: bool = False
    is_compiled: bool = False
    is_compilation_decided: bool = False
    device_transfer: DeviceTransfer = field(
        default_factory=lambda: DeviceTransfer.create_for_device(get_fabric().device)
    )

    @cached_property
    def host_class_weights(self) -> NDArray[np.float32]:
        """The class weights on the host, float32 [classes]; empty for equal weights."""
        if self.class_weights is None:
            return np.ones(0, np.float32)
        return self.class_weights.cpu().numpy()

    @property
    def evaluated_model(self) -> nn.Module:
        """The model that is evaluated and kept: the average of the weights, or the model itself."""
        return self.averaged_model.module if self.averaged_model else self.model

    @property
    def extra_states(self) -> dict[str, Any]:
        """What a checkpoint stores beside the model and the optimizer, by name."""
        states: dict[str, Any] = {"scaler": self.fabric.strategy.precision}
        if self.averaged_model:
            states["mean"] = self.averaged_model
        return states

    def synchronize_statistics(self) -> None:
        """Replace the running statistics by their mean over the processes."""
        synchronize_statistics(self.model)
        if self.averaged_model:
            synchronize_statistics(self.averaged_model.module)

    def begin_phase(self, step: int) -> None:
        """Set the training mode of `step`: the first one, or the first of the whole network.

        Processes average the gradients of the layers in training, so the model is wrapped again
        when these change.
        """
        is_frozen = step < self.schedule.frozen_step_count
        set_training_mode(self.model, is_frozen=is_frozen)
        if self.wrapped_model is None or is_frozen != self.is_backbone_frozen:
            self.wrapped_model = set_up_model(self.model)
            self.is_backbone_frozen = is_frozen
            if self.is_compiled:
                self.compile_network()

    def compile_network(self) -> None:
        """Compile the network from the next step on, which then takes a minute or two."""
        self.wrapped_model = torch.compile(self.wrapped_model)
        self.is_compilation_decided = True
        self.is_compiled = True

    def decide_compilation(self, step_seconds: float, remaining_steps: int) -> None:
        """Compile the network if the settings leave it open and the remaining steps are worth it.

        This is decided once.
        """
        self.is_compilation_decided = True
        device = self.fabric.device
        should_compile = self.schedule.settings.compile == "auto" and is_compiling_worthwhile(
            torch.cuda.get_device_capability(device) if device.type == "cuda" else None,
            remaining_steps,
            step_seconds,
        )
        if self.fabric.broadcast(should_compile):
            self.compile_network()
            self.report_note(
                f"the network is compiled: {remaining_steps:,} steps of {step_seconds:.3g} s remain"
            )

    def select_batch(self, step: int) -> TrainingImages:
        """Return the images of a step, for all processes together."""
        positions = select_batch_positions(
            len(self.training_images), self.schedule.batch_size, step, self.seed
        )
        return self.training_images.select_images(positions)

    def prepare_shard(self, step: int) -> Callable[[], BatchShard]:
        """Return a function that prepares this process's part of a step, in any thread."""
        batch = self.select_batch(step)
        seed = derive_step_seed(self.seed, step)
        positions = select_process_items(len(batch))
        rank_images = batch.select_images(positions)
        treatment_seed = seed
        # Shift and crop are drawn for the whole batch, treatments for each process's part of it.
        if self.fabric.world_size > 1:
            treatment_seed = derive_step_seed(seed, self.fabric.global_rank)
        batch_weight = float(len(batch))
        if self.class_weights is not None:
            batch_weight = float(self.host_class_weights[batch.labels].sum())

        def build_shard() -> BatchShard:
            tensors, build_pixels = self.batch_source.prepare_batch(
                rank_images, positions, (treatment_seed, seed)
            )
            device_batch = self.device_transfer.send_tensors(
                torch.from_numpy(rank_images.labels), *tensors
            )
            return BatchShard(device_batch, build_pixels, len(batch), batch_weight)

        return build_shard

    def run_step(self, step: int, shard: BatchShard) -> Tensor:
        """Make one optimizer step, and return the loss and the accuracy before it, float32 [2].

        Both are this process's part of the values of the whole batch. When memory runs out, the
        batch is halved into ever smaller portions, and their gradients are summed.

        Args:
            step: number of the step, from 0.
            shard: this process's part of the batch.
        """
        labels, *tensors = shard.device_batch.receive_tensors()
        inputs = shard.build_pixels(*tensors)
        if inputs.ndim == 4:  # images, not embeddings
            side = compute_image_side(
                step, self.schedule.step_count, inputs.shape[-1], self.schedule.settings
            )
            inputs = resize_images(inputs, side)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.compute_learning_rate(step)
        while True:
            try:
                metrics = self._accumulate_gradients(inputs, labels, shard, step)
                break
            except torch.OutOfMemoryError as error:
                self._double_portions(len(labels), error)
        self.optimizer.step()
        if self.averaged_model:
            self.averaged_model.update_average(self.model, step)
        return metrics

    def _accumulate_gradients(
        self, inputs: Tensor, labels: Tensor, shard: BatchShard, step: int
    ) -> Tensor:
        """Add the gradients of all portions to the weights, and return loss and accuracy."""
        self.optimizer.zero_grad(set_to_none=True)
        input_portions = inputs.tensor_split(self.portion_count)
        label_portions = labels.tensor_split(self.portion_count)
        portions = list(zip(input_portions, label_portions, strict=True))
        metrics = torch.zeros(2, device=inputs.device)
        with torch.random.fork_rng(devices=[inputs.device] if inputs.device.type == "cuda" else []):
            torch.manual_seed(derive_step_seed(self.seed, step))  # dropout
            for portion in portions[:-1]:
                with self.fabric.no_backward_sync(self.wrapped_model):
                    metrics += self._backpropagate_portion(*portion, shard)
            return metrics + self._backpropagate_portion(*portions[-1], shard)

    def _backpropagate_portion(self, inputs: Tensor, labels: Tensor, shard: BatchShard) -> Tensor:
        """Add the gradients of a portion, and return its part of the loss and the accuracy."""
        with self.fabric.autocast():
            scores = self.wrapped_model(inputs)
            if self.start_model is None:
                loss = self._compute_loss(scores, labels, shard)
            else:
                loss = self._compute_distilled_loss(scores, labels, inputs, shard)
        summed_loss = loss
        if self.fabric.world_size > 1:  # gradients are averaged over the processes
            summed_loss = loss * self.fabric.world_size
        self.fabric.backward(summed_loss)
        correct_count = (scores.detach().argmax(1) == labels).float().sum()
        return torch.stack([loss.detach(), correct_count / shard.batch_image_count])

    def _compute_loss(self, scores: Tensor, labels: Tensor, shard: BatchShard) -> Tensor:
        """Return the cross-entropy; for a portion, its part of the mean over the whole batch."""
        is_whole_batch = len(labels) == shard.batch_image_count
        loss = self._compute_cross_entropy(
            scores, labels, reduction="mean" if is_whole_batch else "sum"
        )
        return loss if is_whole_batch else loss / shard.batch_weight

    def _compute_cross_entropy(self, scores: Tensor, labels: Tensor, reduction: str) -> Tensor:
        if self.class_log_priors is not None:
            scores = scores + self.class_log_priors
        return F.cross_entropy(
            scores,
            labels,
            weight=self.class_weights,
            label_smoothing=self.schedule.settings.label_smoothing,
            reduction=reduction,
        )

    def _compute_distilled_loss(
        self, scores: Tensor, labels: Tensor, inputs: Tensor, shard: BatchShard
    ) -> Tensor:
        """Return the loss, a share of its target replaced by the prediction of the start.

        Of a black image, the prediction of the start is the whole target: its label cannot be seen,
        and without it no class pays for the draw of a seed.

        Source: Li and Hoiem 2018 (learning without forgetting).
        """
        assert self.start_model is not None
        with torch.no_grad():
            targets = self.start_model(inputs).float().softmax(1)
        share = torch.full_like(scores[:, 0], self.schedule.settings.distillation)
        share = share.masked_fill(find_black_images(inputs, self.meta), 1.0)
        label_losses = self._compute_cross_entropy(scores, labels, reduction="none")
        target_losses = F.cross_entropy(
            scores, targets, weight=self.class_weights, reduction="none"
        )
        label_loss = ((1 - share) * label_losses).sum() / shard.batch_weight
        return label_loss + (share * target_losses).sum() / shard.batch_image_count

    def _double_portions(self, shard_size: int, error: torch.OutOfMemoryError) -> None:
        """Halve the portions of all further batches, or raise `InputError` at single images."""
        if self.portion_count >= shard_size:
            raise InputError(
                "train.batch_size: a single image does not fit in the memory; "
                "choose a smaller ingest.side or backbone"
            ) from error
        self.portion_count = min(2 * self.portion_count, shard_size)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.report_note(
            f"out of memory: each batch is now trained in {self.portion_count} portions whose "
            "gradients are summed; the gradients are the same, except that batch norm sees one "
            "portion at a time"
        )

    def check_losses(self, step_metrics: list[Tensor], step: int) -> list[list[float]]:
        """Return loss and accuracy of the last steps as numbers, summed over all processes.

        Args:
            step_metrics: loss and accuracy of each step, float32 [2] each.
            step: the step after the last of them.

        Raises:
            InputError: a loss is not finite; the error names the images of the first such batch.
        """
        if not step_metrics:
            return []
        total = self.fabric.all_reduce(torch.stack(step_metrics), reduce_op="sum")
        values: list[list[float]] = cast(Tensor, total).tolist()
        # The processes' parts of the loss are summed, so all of them see the same failure.
        for failed_step, (loss, _) in enumerate(values, step - len(values)):
            if not math.isfinite(loss):
                image_ids = self.select_batch(failed_step).format_image_ids()
                raise InputError(
                    f"the loss is {loss} at step {failed_step} on image {image_ids}; "
                    "lower learning_rate, or check these images"
                )
        return values
