"""Generic augmentation that ignores the failures; targeted remedies are measured against it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torchvision.transforms import v2

from pipeline.learning.batches.batch_sampling import BatchTreatment, PixelArray, RowIndices

SEED_COUNT = 2**63
"""Seeds are reduced below this number, which every torch generator accepts."""
_RANDOM_FUNCTIONS = (torch.rand, torch.randint, torch.randn, torch.randperm)


class _SeededRandomMode(TorchFunctionMode):
    """A context that gives this thread its own random generator instead of torch's global one."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        generator = {"generator": self.generator} if func in _RANDOM_FUNCTIONS else {}
        return func(*args, **(kwargs or {}), **generator)


def wrap_transform(transform: Callable[[Tensor], Tensor]) -> BatchTreatment:
    """Return a batch treatment that applies `transform` to each image with its own random draw.

    The result depends on the seed alone, in any thread. The transform's calls of torch's
    `_RANDOM_FUNCTIONS` leave torch's global generator unchanged.

    Args:
        transform: a torchvision transform of uint8 [3, S, S].
    """

    def transform_batch(rows: RowIndices, pixels: PixelArray, seed: int) -> PixelArray:
        if not len(pixels):
            return pixels
        images = torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2)
        with _SeededRandomMode(seed % SEED_COUNT):
            transformed = torch.stack([transform(image) for image in images])
        return np.ascontiguousarray(transformed.permute(0, 2, 3, 1).numpy())

    return transform_batch


def create_trivial_augment() -> BatchTreatment:
    """Return TrivialAugment in its wide space (Mueller and Hutter 2021) as a batch treatment.

    Each view of an image gets one random operation at a random strength.
    """
    return wrap_transform(cast(Any, v2.TrivialAugmentWide)())
