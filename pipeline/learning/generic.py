"""Generic augmentation, which knows nothing of the failures: what a targeted remedy has to be measured against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from pipeline.learning.batches import Pixels, Rows, Treatment

SEEDS = 2**63


def as_treatment(transform: Callable[[Tensor], Tensor]) -> Treatment:
    """A torchvision transform of uint8 [3, S, S] as what each photo of a batch is given, by its own draw.

    Decided by the seed alone: torch's own generator is seeded and given back as it was.
    """

    def treatment(rows: Rows, pixels: Pixels, seed: int) -> Pixels:
        if not len(pixels):
            return pixels
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed % SEEDS)
            changed = [transform(photo) for photo in torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2)]
        return np.ascontiguousarray(torch.stack(changed).permute(0, 2, 3, 1).numpy())

    return treatment


def trivial_augment() -> Treatment:
    """One random operation of random strength for every view: TrivialAugment (Mueller and Hutter 2021), wide."""
    return as_treatment(cast(Any, v2.TrivialAugmentWide)())
