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

PixelArray = NDArray[np.uint8]
RowIndices = NDArray[np.intp]
BatchTreatment = Callable[[RowIndices, PixelArray, int], PixelArray]
"""(rows of a batch [B], its pixels uint8 [B, S, S, 3], seed) -> pixels of the same shape, decided by these alone."""

MINIMUM_BATCH_SIZE, MINIMUM_EPOCH_BATCHES = (
    8,
    8,
)  # the smallest batch of a set that has as many images; batches that an epoch has at least


@dataclass(frozen=True)
class TrainingImages:
    """Images with their classes: `rows` [n] of `pixels` uint8 [images, S, S, 3], and class indices `labels` [n].

    ids: of all `images`, to name a image by.
    """

    pixels: PixelArray
    image_rows: RowIndices
    labels: NDArray[np.int64]
    image_ids: Sequence[str] | None = None

    def __len__(self) -> int:
        """How many."""
        return len(self.image_rows)

    def select_images(self, positions: RowIndices | slice) -> TrainingImages:
        """The images at these positions of `rows`."""
        return TrainingImages(
            self.pixels, self.image_rows[positions], self.labels[positions], self.image_ids
        )

    def format_image_ids(self) -> str:
        """Their ids, or where they have none their rows."""
        return ", ".join(
            str(self.image_ids[row]) if self.image_ids is not None else f"row {row}"
            for row in self.image_rows.tolist()
        )

    def load_pixels(self) -> PixelArray:
        """uint8 [n, S, S, 3], read from the memory map."""
        return np.asarray(self.pixels[self.image_rows])


@dataclass(frozen=True)
class ArraySubset:
    """Rows of an array that may be memory-mapped; what is asked for is read, and no more."""

    array: NDArray[Any]
    row_indices: RowIndices

    def __len__(self) -> int:
        """How many rows."""
        return len(self.row_indices)

    @property
    def shape(self) -> tuple[int, ...]:
        """As an array's."""
        return (len(self.row_indices), *self.array.shape[1:])

    def __getitem__(self, selection: slice | NDArray[Any]) -> NDArray[Any]:
        """Some of them, in memory."""
        return np.asarray(self.array[self.row_indices[selection]])


def derive_step_seed(seed: int, step: int) -> int:
    """A 63-bit seed of its own for each step."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def choose_batch_size(image_count: int, requested_size: int) -> int:
    """`wanted`, or as few as leave an epoch eight steps, but at least eight where there are so many."""
    return max(
        2,
        min(
            requested_size,
            image_count,
            max(MINIMUM_BATCH_SIZE, image_count // MINIMUM_EPOCH_BATCHES),
        ),
    )


@lru_cache(maxsize=4)
def _permute_epoch(image_count: int, seed: int, epoch: int) -> RowIndices:
    return np.random.default_rng([seed, epoch]).permutation(image_count)


def select_batch_positions(image_count: int, batch_size: int, step: int, seed: int) -> RowIndices:
    """Which of `images` images make up batch `step` (from 0): always `batch` of them, one permutation an epoch."""
    start, stop = step * batch_size, (step + 1) * batch_size
    epochs = range(start // image_count, (stop - 1) // image_count + 1)
    stream = np.concatenate([_permute_epoch(image_count, seed, epoch) for epoch in epochs])
    return stream[start - epochs[0] * image_count :][:batch_size]


def draw_shifts(
    image_count: int, max_shift: float, max_crop: float, seed: int
) -> NDArray[np.float64]:
    """float64 [images, 3]: the share of the side by which each is cropped, and moved to the right and down."""
    return np.random.default_rng(seed).uniform(
        (0, -max_shift, -max_shift), (max_crop, max_shift, max_shift), (image_count, 3)
    )


def shift_and_crop(
    pixels: PixelArray,
    max_shift: float,
    max_crop: float,
    seed: int,
    batch_portion: tuple[slice, int] | None = None,
) -> PixelArray:
    """Each image of uint8 [B, S, S, 3] cropped by at most `crop` of its side, enlarged to its size again, and moved by
    at most `shift` of its side either way; edges are repeated. Each image has its own draw.

    share: which part of a batch of how many the images are, so that they get the draws they would get in the whole.
    """
    height, width = pixels.shape[1:3]
    part, whole = batch_portion or (slice(None), len(pixels))
    draws = draw_shifts(whole, max_shift, max_crop, seed)[part]
    out = np.empty_like(pixels)
    for image, (part, right, down), moved in zip(pixels, draws, out, strict=True):
        scale = 1 / (1 - part)
        center = (
            (1 - scale) * (width - 1) / 2 + right * width,
            (1 - scale) * (height - 1) / 2 + down * height,
        )
        matrix = np.array([[scale, 0, center[0]], [0, scale, center[1]]])
        cv2.warpAffine(image, matrix, (width, height), dst=moved, borderMode=cv2.BORDER_REPLICATE)
    return out


@lru_cache(maxsize=8)
def _create_channel_constants(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    mid, wide = (
        torch.tensor(values, device=device).view(1, 3, 1, 1) * 255 for values in (mean, std)
    )
    return mid, wide


def normalize_pixels(gray_levels: Tensor, meta: Mapping[str, Any]) -> Tensor:
    """Gray levels float32 [B, 3, S, S], written over, by `meta`'s mean and std; channels last in memory."""
    mean, std = _create_channel_constants(
        tuple(meta["mean"]), tuple(meta["std"]), gray_levels.device
    )
    return gray_levels.sub_(mean).div_(std).contiguous(memory_format=torch.channels_last)


def build_input_tensor(
    pixels: PixelArray | Tensor, meta: Mapping[str, Any], device: torch.device
) -> Tensor:
    """float32 [B, 3, S, S] on the device, `normalized`, of pixels uint8 [B, S, S, 3]; embeddings [B, D] as they are."""
    here = pixels if isinstance(pixels, Tensor) else torch.from_numpy(np.ascontiguousarray(pixels))
    if here.ndim == 2:
        return here.to(device)
    return normalize_pixels(here.to(device).permute(0, 3, 1, 2).float(), meta)
