"""What changes while a training goes on: the side of the images, what is frozen, and the mean of the weights."""

from __future__ import annotations

from typing import Any, cast

import timm
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pipeline.contracts import InputError
from pipeline.learning.training_settings import FitSettings

FULL_SIDE_STEP_SHARE = 0.75  # of the steps, after which images have their whole side
SIDE_DIVISIONS = 8  # sides that are tried on the way are multiples of an eighth of the side


def compute_image_side(step: int, step_count: int, full_side: int, settings: FitSettings) -> int:
    """Side in pixels at which images are learnt from: from a share of it, in a straight line, to the whole."""
    share: float = min(
        1.0,
        settings.initial_side_share
        + (1 - settings.initial_side_share) * step / max(1.0, FULL_SIDE_STEP_SHARE * step_count),
    )
    return max(1, full_side * round(share * SIDE_DIVISIONS) // SIDE_DIVISIONS)


def resize_images(images: Tensor, side: int) -> Tensor:
    """Images [n, 3, S, S] at another side; the same where it is theirs."""
    if side == images.shape[-1]:
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True)


def require_flexible_input(backbone: str, settings: FitSettings) -> None:
    """Raise `InputError` where images are to grow and the network takes one side only."""
    cfg = timm.get_pretrained_cfg(backbone)
    if settings.initial_side_share < 1 and cfg and cfg.fixed_input_size:
        raise InputError(
            f"train.initial_side_share: {backbone} takes images of one side only; leave it at 1"
        )


def set_training_mode(model: nn.Module, *, is_frozen: bool) -> None:
    """Training mode; frozen: no gradient but for the head's, and batch norm neither learns nor counts."""
    head = {id(p) for p in cast(Any, model).get_classifier().parameters()} if is_frozen else set()
    for weight in model.parameters():
        weight.requires_grad_(not is_frozen or id(weight) in head)
    model.train()
    for part in model.modules():
        if is_frozen and isinstance(part, _BatchNorm):
            part.eval()


class WeightAverage(AveragedModel):
    """The exponential moving mean of a model's weights and statistics; follows faster at first.

    Decay at step t: at most (1 + t) / (10 + t), as in TensorFlow's ExponentialMovingAverage; 0 at the first.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """decay: of later steps."""
        super().__init__(model, use_buffers=True)
        self.decay = decay

    def update_average(self, model: nn.Module, step: int) -> None:
        """Take in the weights after `step` (from 0); `update_parameters` does so too, but waits for a GPU."""
        decay = min(self.decay, (1 + step) / (10 + step)) if step else 0.0
        own, theirs = ([*part.parameters(), *part.buffers()] for part in (self.module, model))
        pairs = [
            (a.detach(), b.detach())
            for a, b in zip(own, theirs, strict=True)
            if a.is_floating_point()
        ]
        cast(Any, get_ema_multi_avg_fn)(decay)([a for a, _ in pairs], [b for _, b in pairs], None)
