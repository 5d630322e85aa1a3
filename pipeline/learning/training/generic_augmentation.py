"""Generic augmentation, which knows nothing of the failures: what a targeted remedy has to be measured against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torchvision.transforms import v2

from pipeline.learning.training.batch_sampling import BatchTreatment, PixelArray, RowIndices

SEED_COUNT = 2**63
_RANDOM_FUNCTIONS = (torch.rand, torch.randint, torch.randn, torch.randperm)


class _SeededRandomMode(TorchFunctionMode):
    """Inside, this thread's random numbers come from a generator of its own; torch's is everybody's."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        more = {"generator": self.generator} if func in _RANDOM_FUNCTIONS else {}
        return func(*args, **(kwargs or {}), **more)


def wrap_transform(transform: Callable[[Tensor], Tensor]) -> BatchTreatment:
    """A torchvision transform of uint8 [3, S, S] as what each image of a batch is given, by its own draw.

    Decided by the seed alone, in any thread: what it draws by torch's `_DRAWS` leaves torch's own generator alone.
    """

    def treatment(rows: RowIndices, pixels: PixelArray, seed: int) -> PixelArray:
        if not len(pixels):
            return pixels
        with _SeededRandomMode(seed % SEED_COUNT):
            changed = [
                transform(image) for image in torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2)
            ]
        return np.ascontiguousarray(torch.stack(changed).permute(0, 2, 3, 1).numpy())

    return treatment


def create_trivial_augment() -> BatchTreatment:
    """One random operation of random strength for every view: TrivialAugment (Mueller and Hutter 2021), wide."""
    return wrap_transform(cast(Any, v2.TrivialAugmentWide)())
