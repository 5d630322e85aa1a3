"""Inference without batch norm: its constants are folded into the convolution before it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from pipeline.learning.models.backbone import (
    ModelMetadata,
    load_model,
    move_to_device,
    select_device,
)

LARGEST_DIFFERENCE = 1e-3
"""Difference of the outputs up to which the folded network counts as the same one.

It is relative to the largest output. On the packaged network the difference is 1e-6.
"""
_TRIAL_IMAGES = 2


def load_folded_model(folder: Path) -> tuple[nn.Module, ModelMetadata]:
    """Return the model saved in `folder` with folded batch norms, and its metadata.

    Raises:
        InputError: a file is missing, truncated or of another architecture.
    """
    model, meta = load_model(folder)
    return fold_normalization(model, int(meta["side"])), meta


def fold_normalization(model: nn.Module, side: int = 64) -> nn.Module:
    """Return the network for inference with every batch norm folded into its convolution.

    On a CPU the packaged network then takes four fifths of the time. A network that does not apply
    its modules in the order in which it holds them would change by the folding: it is compared on
    random images first, and is returned as it is if its outputs differ.

    Args:
        model: the network in evaluation mode; not modified.
        side: side of the images that it reads, in pixels.
    """
    folded = copy.deepcopy(model)
    pairs = list(_find_pairs(folded))
    if not pairs:
        return model
    for parent, convolution, name, normalization in pairs:
        _fold_pair(parent, convolution, name, normalization)
    folded = move_to_device(folded)
    return folded if _has_equal_outputs(model, folded, side) else model


def _find_pairs(model: nn.Module) -> Iterator[tuple[nn.Module, nn.Conv2d, str, nn.BatchNorm2d]]:
    """Yield the parent of each convolution that a batch norm follows, and both, with its name."""
    for parent in list(model.modules()):
        for (_, first), (name, second) in pairwise(list(parent.named_children())):
            if not isinstance(first, nn.Conv2d) or not isinstance(second, nn.BatchNorm2d):
                continue
            if second.running_mean is not None and second.num_features == first.out_channels:
                yield parent, first, name, second


def _fold_pair(
    parent: nn.Module, convolution: nn.Conv2d, name: str, normalization: nn.BatchNorm2d
) -> None:
    """Move a batch norm into its convolution; timm's activation behind it stays in its place."""
    mean, variance = normalization.running_mean, normalization.running_var
    assert mean is not None
    assert variance is not None
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        mean,
        variance,
        normalization.eps,
        normalization.weight,
        normalization.bias,
    )
    activation = getattr(normalization, "act", None)
    setattr(parent, name, activation if isinstance(activation, nn.Module) else nn.Identity())


def _has_equal_outputs(model: nn.Module, folded: nn.Module, side: int) -> bool:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(_TRIAL_IMAGES, 3, side, side, generator=generator).to(select_device())
    with torch.inference_mode():
        expected: Tensor = model(images)
        difference = (folded(images) - expected).abs().max()
    return bool(difference <= LARGEST_DIFFERENCE * expected.abs().max().clamp(min=1.0))
