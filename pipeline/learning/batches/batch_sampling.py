"""Training images and their batches; order and augmentation follow from the seed and the step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PixelArray = NDArray[np.uint8]
RowIndices = NDArray[np.intp]
BatchTreatment = Callable[[RowIndices, PixelArray, int], PixelArray]
"""(rows of a batch [B], its pixels uint8 [B, S, S, 3], seed) -> pixels of the same shape.

The result depends on these arguments alone.
"""

MINIMUM_BATCH_SIZE = 8
"""Batch norm needs several images; only sets with fewer images than this have smaller batches."""
MINIMUM_EPOCH_BATCHES = 8
"""An epoch has at least this many batches, so that small sets get enough optimizer steps."""


@dataclass(frozen=True)
class TrainingImages:
    """Images with their classes, as rows of one pixel array.

    Attributes:
        pixels: pixels of all images, uint8 [images, S, S, 3], possibly memory-mapped.
        image_rows: the rows of these images in `pixels`, [n].
        labels: class index of each of these images, [n].
        image_ids: id of every row of `pixels`, for messages; None without ids.
    """

    pixels: PixelArray
    image_rows: RowIndices
    labels: NDArray[np.int64]
    image_ids: Sequence[str] | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.image_rows)

    def select_images(self, positions: RowIndices | slice) -> TrainingImages:
        """Return the images at these positions of `image_rows`."""
        return TrainingImages(
            self.pixels, self.image_rows[positions], self.labels[positions], self.image_ids
        )

    def add_images(
        self, rows: RowIndices, labels: NDArray[np.int64], repeats: NDArray[np.intp] | int = 1
    ) -> TrainingImages:
        """Return these images and further ones.

        Args:
            rows: rows of `pixels`, [m].
            labels: their class indices, [m].
            repeats: how often each of them occurs, [m] or one number.
        """
        return TrainingImages(
            self.pixels,
            np.concatenate([self.image_rows, np.repeat(rows, repeats)]),
            np.concatenate([self.labels, np.repeat(labels, repeats)]),
            self.image_ids,
        )

    def format_image_ids(self) -> str:
        """Return the ids of the images, separated by commas, or their rows if they have no ids."""
        rows = self.image_rows.tolist()
        if self.image_ids is None:
            return ", ".join(f"row {row}" for row in rows)
        return ", ".join(str(self.image_ids[row]) for row in rows)

    def load_pixels(self) -> PixelArray:
        """Return the pixels, uint8 [n, S, S, 3], read from the memory map."""
        return np.asarray(self.pixels[self.image_rows])


@dataclass(frozen=True)
class ArraySubset:
    """Rows of an array that may be memory-mapped; only the indexed rows are read.

    Attributes:
        array: the whole array, [rows, ...].
        row_indices: the rows of the subset, [n].
    """

    array: NDArray[Any]
    row_indices: RowIndices

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.row_indices)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the subset, as an array has it."""
        return (len(self.row_indices), *self.array.shape[1:])

    def __getitem__(self, selection: slice | NDArray[Any]) -> NDArray[Any]:
        """Return the selected rows of the subset, in memory."""
        return np.asarray(self.array[self.row_indices[selection]])


def derive_step_seed(seed: int, step: int) -> int:
    """Return a 63-bit seed that differs from step to step."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def choose_batch_size(image_count: int, requested_size: int) -> int:
    """Return the requested batch size, or less so that an epoch has eight batches.

    It is not reduced below eight images, and is at least two and at most the number of images.

    >>> choose_batch_size(10_000, 64), choose_batch_size(100, 64), choose_batch_size(30, 64)
    (64, 12, 8)
    """
    largest_size = max(MINIMUM_BATCH_SIZE, image_count // MINIMUM_EPOCH_BATCHES)
    return max(2, min(requested_size, image_count, largest_size))


@lru_cache(maxsize=4)
def _permute_epoch(image_count: int, seed: int, epoch: int) -> RowIndices:
    return np.random.default_rng([seed, epoch]).permutation(image_count)


def select_batch_positions(image_count: int, batch_size: int, step: int, seed: int) -> RowIndices:
    """Return the positions of the images of one batch, [batch_size].

    The epochs' permutations form one stream. Each step takes the next `batch_size` positions of it,
    so a batch may span two epochs.

    Args:
        image_count: number of training images.
        batch_size: images a step.
        step: number of the step, from 0.
        seed: seed of the permutations.
    """
    start = step * batch_size
    last_epoch = (start + batch_size - 1) // image_count
    first_epoch = start // image_count
    permutations = [
        _permute_epoch(image_count, seed, epoch) for epoch in range(first_epoch, last_epoch + 1)
    ]
    stream = np.concatenate(permutations)
    return stream[start - first_epoch * image_count :][:batch_size]


@lru_cache(maxsize=8)
def _create_channel_constants(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation in gray levels, float32 [1, 3, 1, 1] each."""
    gray_mean = torch.tensor(mean, device=device).view(1, 3, 1, 1) * 255
    gray_std = torch.tensor(std, device=device).view(1, 3, 1, 1) * 255
    return gray_mean, gray_std


def normalize_pixels(gray_levels: Tensor, meta: Mapping[str, Any]) -> Tensor:
    """Return gray levels normalized by the mean and std of `meta`, channels last in memory.

    Args:
        gray_levels: float32 [B, 3, S, S]; overwritten.
        meta: the model's metadata with `mean` and `std`, three shares of 255 each.
    """
    mean, std = _create_channel_constants(
        tuple(meta["mean"]), tuple(meta["std"]), gray_levels.device
    )
    return gray_levels.sub_(mean).div_(std).contiguous(memory_format=torch.channels_last)


def build_input_tensor(
    pixels: PixelArray | Tensor, meta: Mapping[str, Any], device: torch.device
) -> Tensor:
    """Return the network's input on the device: normalized pixels, or embeddings as they are.

    Args:
        pixels: uint8 [B, S, S, 3], or embeddings float32 [B, D].
        meta: the model's metadata with `mean` and `std`.
        device: where the tensor is to be.

    Returns:
        float32 [B, 3, S, S] or [B, D].
    """
    if isinstance(pixels, Tensor):
        host_tensor = pixels
    else:
        host_tensor = torch.from_numpy(np.ascontiguousarray(pixels))
    device_tensor = host_tensor.to(device)
    if device_tensor.ndim == 2:
        return device_tensor
    return normalize_pixels(device_tensor.permute(0, 3, 1, 2).float(), meta)
