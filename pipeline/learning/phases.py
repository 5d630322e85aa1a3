"""What changes while a training goes on: the side of the photos, what is frozen, and the mean of the weights."""

from __future__ import annotations

from typing import Any, cast

import timm
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pipeline.contracts import InputError
from pipeline.learning.settings import FitSettings

GROWN = 0.75  # of the steps, after which photos have their whole side
COARSE = 8  # sides that are tried on the way are multiples of an eighth of the side


def side_at(step: int, steps: int, side: int, settings: FitSettings) -> int:
    """Side in pixels at which photos are learnt from: from a share of it, in a straight line, to the whole."""
    share: float = min(1.0, settings.small + (1 - settings.small) * step / max(1.0, GROWN * steps))
    return max(1, side * round(share * COARSE) // COARSE)


def resized(x: Tensor, side: int) -> Tensor:
    """Photos [n, 3, S, S] at another side; the same where it is theirs."""
    if side == x.shape[-1]:
        return x
    return F.interpolate(x, (side, side), mode="bilinear", antialias=True)


def require_any_side(backbone: str, settings: FitSettings) -> None:
    """Raise `InputError` where photos are to grow and the network takes one side only."""
    cfg = timm.get_pretrained_cfg(backbone)
    if settings.small < 1 and cfg and cfg.fixed_input_size:
        raise InputError(f"train.small: {backbone} takes photos of one side only; leave it at 1")


def set_mode(model: nn.Module, *, frozen: bool) -> None:
    """Training mode; frozen: no gradient but for the head's, and batch norm neither learns nor counts."""
    head = {id(p) for p in cast(Any, model).get_classifier().parameters()} if frozen else set()
    for weight in model.parameters():
        weight.requires_grad_(not frozen or id(weight) in head)
    model.train()
    for part in model.modules():
        if frozen and isinstance(part, _BatchNorm):
            part.eval()


class Average(AveragedModel):
    """The exponential moving mean of a model's weights and statistics; follows faster at first.

    Decay at step t: at most (1 + t) / (10 + t), as in TensorFlow's ExponentialMovingAverage; 0 at the first.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """decay: of later steps."""
        super().__init__(model, use_buffers=True)
        self.decay = decay

    def follow(self, model: nn.Module, step: int) -> None:
        """Take in the weights after `step` (from 0); `update_parameters` does so too, but waits for a GPU."""
        decay = min(self.decay, (1 + step) / (10 + step)) if step else 0.0
        own, theirs = ([*part.parameters(), *part.buffers()] for part in (self.module, model))
        pairs = [(a.detach(), b.detach()) for a, b in zip(own, theirs, strict=True) if a.is_floating_point()]
        cast(Any, get_ema_multi_avg_fn)(decay)([a for a, _ in pairs], [b for _, b in pairs], None)
