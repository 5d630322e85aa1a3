"""What a training derives from its settings and images: schedule, class weights and optimizer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import timm.optim
import torch
from torch import Tensor, nn

from pipeline.learning.batches.batch_sampling import TrainingImages, choose_batch_size
from pipeline.learning.distributed import get_fabric
from pipeline.learning.models.backbone import select_device
from pipeline.learning.training_settings import FitSettings

DEFAULT_HOLDOUT_EVALUATIONS = 8
"""Evaluations on the holdout if the settings name no interval; an evaluation costs time."""
SGD_MOMENTUM = 0.9
"""The customary Nesterov momentum; AdamW ignores it."""


@dataclass(frozen=True)
class TrainingSchedule:
    """The sizes of a training that follow from its settings and its number of images.

    Attributes:
        settings: settings of the training.
        image_count: number of training images.
    """

    settings: FitSettings
    image_count: int

    @property
    def batch_size(self) -> int:
        """Images a step."""
        return choose_batch_size(self.image_count, self.settings.batch_size)

    @property
    def step_count(self) -> int:
        """Steps in all."""
        image_passes = self.settings.image_passes or self.settings.epochs * self.image_count
        return max(1, round(image_passes / self.batch_size))

    @property
    def evaluation_interval(self) -> int:
        """Steps between two evaluations on the holdout."""
        default_interval = max(1, math.ceil(self.step_count / DEFAULT_HOLDOUT_EVALUATIONS))
        return self.settings.evaluation_interval or default_interval

    @property
    def frozen_step_count(self) -> int:
        """Steps, at first, that train the head alone."""
        return round(self.settings.frozen_share * self.step_count)

    def compute_learning_rate(self, step: int) -> float:
        """Return the learning rate of a step (from 0).

        It rises linearly in the warm-up, then follows a cosine to zero (Loshchilov and Hutter
        2017).
        """
        warmup_steps = round(self.settings.warmup_share * self.step_count)
        if step < warmup_steps:
            return self.settings.learning_rate * (step + 1) / (warmup_steps + 1)
        angle = math.pi * (step - warmup_steps) / max(1, self.step_count - warmup_steps)
        return self.settings.learning_rate * 0.5 * (1 + math.cos(angle))


def compute_class_weights(
    training_images: TrainingImages, class_count: int, settings: FitSettings
) -> Tensor | None:
    """Return the inverse class frequencies, or None if the settings leave them out.

    Args:
        training_images: the images whose labels are counted.
        class_count: number of classes.
        settings: settings of the training, with `class_balance`.

    Returns:
        float32 [classes] on the device, 1 on average over the images; 0 for a class without images.
    """
    if settings.class_balance != "loss":
        return None
    counts = np.bincount(training_images.labels, minlength=class_count)
    is_present = counts > 0
    present_classes = max(1, int(is_present.sum()))
    inverse_frequencies = len(training_images) / (np.maximum(counts, 1) * present_classes)
    weights = np.where(is_present, inverse_frequencies, 0.0)
    return torch.tensor(weights, dtype=torch.float32, device=select_device())


def compute_class_log_priors(
    training_images: TrainingImages, class_count: int, settings: FitSettings
) -> Tensor | None:
    """Return what logit adjustment adds to the logits in training, or None without it.

    The network then learns logits for classes that are equally frequent.

    Args:
        training_images: the images whose labels are counted.
        class_count: number of classes.
        settings: settings of the training, with `class_balance`.

    Returns:
        float32 [classes] on the device: the log of each class's frequency; a class without images
        counts as one image.

    Source: Menon et al. 2021, Long-tail learning via logit adjustment.
    """
    if settings.class_balance != "logits":
        return None
    counts = np.bincount(training_images.labels, minlength=class_count)
    priors = np.maximum(counts, 1) / max(len(training_images), 1)
    return torch.tensor(np.log(priors), dtype=torch.float32, device=select_device())


def create_optimizer(model: nn.Module, settings: FitSettings) -> torch.optim.Optimizer:
    """Return AdamW or SGD; biases and norms are exempt from weight decay.

    The optimizer is fused: it updates all weights in one pass. Fabric scales the loss if the
    precision needs that (Micikevicius et al. 2018).
    """
    optimizer = cast(Any, timm.optim).create_optimizer_v2(
        model,
        opt=settings.optimizer,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        momentum=SGD_MOMENTUM,
        fused=True,
    )
    return cast(torch.optim.Optimizer, get_fabric().setup_optimizers(optimizer))
