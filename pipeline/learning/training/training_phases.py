"""What changes during a training: image side, frozen layers and the average of the weights."""

from __future__ import annotations

from typing import Any, cast

import timm
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pipeline.contracts import InputError
from pipeline.learning.training_settings import FitSettings

FULL_SIDE_STEP_SHARE = 0.75
"""Share of the steps after which images have their full side."""
SIDE_DIVISIONS = 8
"""Sides on the way are multiples of an eighth of the last side, so that there are few of them."""
MINIMUM_TRAINING_SIDE = 96
"""Images below this side are trained on at their side at prediction; see `training_side_share`."""


def compute_training_side(full_side: int, side_share: float) -> int:
    """Return the side of the training images, in pixels.

    Args:
        full_side: the side of the images at prediction, in pixels.
        side_share: the setting `training_side_share`.

    >>> [compute_training_side(side, 0.75) for side in (64, 112, 128, 224)]
    [64, 96, 96, 168]
    """
    smallest_side = min(full_side, MINIMUM_TRAINING_SIDE)
    return max(smallest_side, round(side_share * full_side))


def compute_image_side(step: int, step_count: int, full_side: int, settings: FitSettings) -> int:
    """Return the side of the training images at a step, in pixels.

    It grows linearly from a share of the training side (see `compute_training_side`), and reaches
    that side after `FULL_SIDE_STEP_SHARE` of the steps.

    Args:
        step: number of the step, from 0.
        step_count: number of steps in all.
        full_side: the side of the images at prediction, in pixels.
        settings: settings of the training, with `initial_side_share`.
    """
    training_side = compute_training_side(full_side, settings.training_side_share)
    initial_share = settings.initial_side_share
    growth_steps = max(1.0, FULL_SIDE_STEP_SHARE * step_count)
    side_share: float = min(1.0, initial_share + (1 - initial_share) * step / growth_steps)
    return max(1, training_side * round(side_share * SIDE_DIVISIONS) // SIDE_DIVISIONS)


def resize_images(images: Tensor, side: int) -> Tensor:
    """Return images [n, 3, S, S] resized to a side in pixels; unchanged if they have it."""
    if side == images.shape[-1]:
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True)


def adapt_to_network(backbone: str, settings: FitSettings) -> FitSettings:
    """Return the settings; a network that takes one side only is trained at that side.

    Args:
        backbone: name of the timm model, or of a user's program.
        settings: settings of the training.

    Raises:
        InputError: the images are to grow, and the network takes one side only.
    """
    config = timm.get_pretrained_cfg(backbone)  # None for a user's program
    if config is not None and not config.fixed_input_size:
        return settings
    if settings.initial_side_share < 1 and config is not None:
        raise InputError(
            f"train.initial_side_share: {backbone} takes images of one side only; leave it at 1"
        )
    return settings.model_copy(update={"training_side_share": 1.0})


def set_training_mode(model: nn.Module, *, is_frozen: bool) -> None:
    """Set the model to training mode.

    With `is_frozen` only the head gets gradients, and batch norm neither trains nor updates its
    statistics.
    """
    trained_ids = set()
    if is_frozen:
        trained_ids = {id(weight) for weight in cast(Any, model).get_classifier().parameters()}
    for weight in model.parameters():
        weight.requires_grad_(not is_frozen or id(weight) in trained_ids)
    model.train()
    for module in model.modules():
        if is_frozen and isinstance(module, _BatchNorm):
            module.eval()


class WeightAverage(AveragedModel):
    """The exponential moving average of a model's weights and statistics.

    The decay at step t is at most (1 + t) / (10 + t), as in TensorFlow's ExponentialMovingAverage,
    so that the average follows faster at first. At the first step it is 0.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Initialize from a model; `decay` is the decay of the later steps."""
        super().__init__(model, use_buffers=True)
        self.decay = decay

    def update_average(self, model: nn.Module, step: int) -> None:
        """Add the weights after `step` (from 0) to the average.

        `update_parameters` of torch does the same, but waits for the GPU.
        """
        decay = min(self.decay, (1 + step) / (10 + step)) if step else 0.0
        averages: list[Tensor] = []
        currents: list[Tensor] = []
        for average, current in zip(_list_tensors(self.module), _list_tensors(model), strict=True):
            if average.is_floating_point():
                averages.append(average.detach())
                currents.append(current.detach())
        cast(Any, get_ema_multi_avg_fn)(decay)(averages, currents, None)


def _list_tensors(model: nn.Module) -> list[Tensor]:
    """Return the parameters, then the buffers of a model."""
    return [*model.parameters(), *model.buffers()]
