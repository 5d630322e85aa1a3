"""Batches of memory-mapped pixels: order and augmentation follow from the seed and the step, from nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Pixels = NDArray[np.uint8]
Rows = NDArray[np.intp]
Treatment = Callable[[Rows, Pixels, int], Pixels]
"""(rows of a batch [B], its pixels uint8 [B, S, S, 3], seed) -> pixels of the same shape, decided by these alone."""

LEAST, EPOCH = 8, 8  # the smallest batch of a set that has as many photos; batches that an epoch has at least


@dataclass(frozen=True)
class Photos:
    """Photos with their classes: `rows` [n] of `pixels` uint8 [images, S, S, 3], and class indices `labels` [n].

    ids: of all `images`, to name a photo by.
    """

    pixels: Pixels
    rows: Rows
    labels: NDArray[np.int64]
    ids: Sequence[str] | None = None

    def __len__(self) -> int:
        """How many."""
        return len(self.rows)

    def take(self, positions: Rows | slice) -> Photos:
        """The photos at these positions of `rows`."""
        return Photos(self.pixels, self.rows[positions], self.labels[positions], self.ids)

    def named(self) -> str:
        """Their ids, or where they have none their rows."""
        return ", ".join(str(self.ids[row]) if self.ids is not None else f"row {row}" for row in self.rows.tolist())

    def load(self) -> Pixels:
        """uint8 [n, S, S, 3], read from the memory map."""
        return np.asarray(self.pixels[self.rows])


@dataclass(frozen=True)
class Part:
    """Rows of an array that may be memory-mapped; what is asked for is read, and no more."""

    array: NDArray[Any]
    rows: Rows

    def __len__(self) -> int:
        """How many rows."""
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """As an array's."""
        return (len(self.rows), *self.array.shape[1:])

    def __getitem__(self, which: slice | NDArray[Any]) -> NDArray[Any]:
        """Some of them, in memory."""
        return np.asarray(self.array[self.rows[which]])


def step_seed(seed: int, step: int) -> int:
    """A 63-bit seed of its own for each step."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def batch_size(photos: int, wanted: int) -> int:
    """`wanted`, or as few as leave an epoch eight steps, but at least eight where there are so many."""
    return max(2, min(wanted, photos, max(LEAST, photos // EPOCH)))


@lru_cache(maxsize=4)
def _epoch(photos: int, seed: int, epoch: int) -> Rows:
    return np.random.default_rng([seed, epoch]).permutation(photos)


def positions(photos: int, batch: int, step: int, seed: int) -> Rows:
    """Which of `photos` photos make up batch `step` (from 0): always `batch` of them, one permutation an epoch."""
    start, stop = step * batch, (step + 1) * batch
    epochs = range(start // photos, (stop - 1) // photos + 1)
    stream = np.concatenate([_epoch(photos, seed, epoch) for epoch in epochs])
    return stream[start - epochs[0] * photos :][:batch]


def shift_draws(photos: int, shift: float, crop: float, seed: int) -> NDArray[np.float64]:
    """float64 [photos, 3]: the share of the side by which each is cropped, and moved to the right and down."""
    return np.random.default_rng(seed).uniform((0, -shift, -shift), (crop, shift, shift), (photos, 3))


def shift_and_crop(
    pixels: Pixels, shift: float, crop: float, seed: int, share: tuple[slice, int] | None = None
) -> Pixels:
    """Each photo of uint8 [B, S, S, 3] cropped by at most `crop` of its side, enlarged to its size again, and moved by
    at most `shift` of its side either way; edges are repeated. Each photo has its own draw.

    share: which part of a batch of how many the photos are, so that they get the draws they would get in the whole.
    """
    height, width = pixels.shape[1:3]
    part, whole = share or (slice(None), len(pixels))
    draws = shift_draws(whole, shift, crop, seed)[part]
    out = np.empty_like(pixels)
    for photo, (part, right, down), moved in zip(pixels, draws, out, strict=True):
        scale = 1 / (1 - part)
        centre = (1 - scale) * (width - 1) / 2 + right * width, (1 - scale) * (height - 1) / 2 + down * height
        matrix = np.array([[scale, 0, centre[0]], [0, scale, centre[1]]])
        cv2.warpAffine(photo, matrix, (width, height), dst=moved, borderMode=cv2.BORDER_REPLICATE)
    return out


@lru_cache(maxsize=8)
def _constants(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    mid, wide = (torch.tensor(values, device=device).view(1, 3, 1, 1) * 255 for values in (mean, std))
    return mid, wide


def normalised(x: Tensor, meta: Mapping[str, Any]) -> Tensor:
    """Grey levels float32 [B, 3, S, S], written over, by `meta`'s mean and std; channels last in memory."""
    mean, std = _constants(tuple(meta["mean"]), tuple(meta["std"]), x.device)
    return x.sub_(mean).div_(std).contiguous(memory_format=torch.channels_last)


def tensor(pixels: Pixels | Tensor, meta: Mapping[str, Any], device: torch.device) -> Tensor:
    """float32 [B, 3, S, S] on the device, `normalised`, of pixels uint8 [B, S, S, 3]; embeddings [B, D] as they are."""
    here = pixels if isinstance(pixels, Tensor) else torch.from_numpy(np.ascontiguousarray(pixels))
    if here.ndim == 2:
        return here.to(device)
    return normalised(here.to(device).permute(0, 3, 1, 2).float(), meta)
