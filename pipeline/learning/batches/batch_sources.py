"""Sources of a batch's pixels: the memory map on the host, or all images in the device's memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from pipeline.learning.batches.batch_sampling import (
    BatchTreatment,
    PixelArray,
    RowIndices,
    TrainingImages,
    build_input_tensor,
    normalize_pixels,
)
from pipeline.learning.batches.batched_transforms import BATCH_REMEDIES
from pipeline.learning.batches.standard_augmentation import (
    augment_images,
    augment_tensor,
    draw_augmentations,
)
from pipeline.learning.models.backbone import select_device
from pipeline.learning.training.targeted_treatment import RemedyStrength, TargetedTreatment
from pipeline.learning.training_settings import FitSettings

RESIDENT_MEMORY_SHARE = 0.5
"""Share of the GPU's free memory that the images may take; the step needs the rest."""
TRANSFER_CHUNK_SIZE = 4096
"""Images in one transfer to the device, so that the host never holds a second copy of all."""
PixelBuilder = Callable[..., Tensor]
"""The tensors that were sent to the device -> normalized pixels, float32 [n, 3, S, S]."""
TreatmentStep = tuple[str, int]
"""(remedy, seed) of one pair of tensors that is sent: positions, and the strengths there.

With the remedy "" the second tensor holds images that the host has treated.
"""


class BatchSource(Protocol):
    """A source of a batch's pixels."""

    def prepare_batch(
        self, rank_images: TrainingImages, rank_positions: slice, seeds: tuple[int, int]
    ) -> tuple[list[Tensor], PixelBuilder]:
        """Return the tensors to send to the device, and the function that builds pixels from them.

        Any thread may call it. The pixels depend on the arguments alone.

        Args:
            rank_images: this rank's images of a batch.
            rank_positions: their positions in the batch; its stop is the size of the batch.
            seeds: seed of the treatment, and seed of the augmentation.
        """
        ...


@dataclass(frozen=True)
class HostSource:
    """Pixels from the memory map; the host treats and augments them.

    Attributes:
        meta: the model's metadata with `mean` and `std`.
        settings: settings of the training.
        treatment: what changes a batch before the augmentation, if anything.
        device: the device of the training.
    """

    meta: Mapping[str, Any]
    settings: FitSettings
    treatment: BatchTreatment | None
    device: torch.device

    def prepare_pixels(
        self, rank_images: TrainingImages, rank_positions: slice, seeds: tuple[int, int]
    ) -> PixelArray:
        """Return the pixels to train on, uint8 [n, S, S, 3]; embeddings [n, D] stay as they are.

        Args:
            rank_images: this rank's images of a batch.
            rank_positions: their positions in the batch; its stop is the size of the batch.
            seeds: seed of the treatment, and seed of the augmentation.
        """
        pixels = rank_images.load_pixels()
        if pixels.ndim == 2:
            return pixels
        treatment_seed, augmentation_seed = seeds
        if self.treatment:
            pixels = self.treatment(rank_images.image_rows, pixels, treatment_seed)
        draws = draw_augmentations(rank_positions.stop, self.settings, augmentation_seed)
        return augment_images(pixels, draws[rank_positions])

    def prepare_batch(
        self, rank_images: TrainingImages, rank_positions: slice, seeds: tuple[int, int]
    ) -> tuple[list[Tensor], PixelBuilder]:
        """Return the pixels as one tensor, and the function that normalizes them.

        Args:
            rank_images: this rank's images of a batch.
            rank_positions: their positions in the batch; its stop is the size of the batch.
            seeds: seed of the treatment, and seed of the augmentation.
        """
        pixels = self.prepare_pixels(rank_images, rank_positions, seeds)
        if self.device.type == "cpu":
            return [build_input_tensor(pixels, self.meta, self.device)], lambda x: x
        return [torch.from_numpy(pixels)], lambda x: build_input_tensor(x, self.meta, x.device)


@dataclass(frozen=True)
class ResidentSource:
    """Pixels in the device's memory; the device treats and augments them.

    Remedies that `BATCH_REMEDIES` lacks are applied on the host, and their images are sent.

    Attributes:
        meta: the model's metadata with `mean` and `std`.
        settings: settings of the training.
        treatment: what changes a batch before the augmentation, if anything.
        image_rows: the rows of the images on the device, sorted, [rows].
        pixels: their pixels on the device, uint8 [rows, S, S, 3].
    """

    meta: Mapping[str, Any]
    settings: FitSettings
    treatment: TargetedTreatment | None
    image_rows: RowIndices
    pixels: Tensor

    def prepare_batch(
        self, rank_images: TrainingImages, rank_positions: slice, seeds: tuple[int, int]
    ) -> tuple[list[Tensor], PixelBuilder]:
        """Return positions, augmentation and treatment tensors, and the function that applies them.

        Args:
            rank_images: this rank's images of a batch.
            rank_positions: their positions in the batch; its stop is the size of the batch.
            seeds: seed of the treatment, and seed of the augmentation.
        """
        treatment_seed, augmentation_seed = seeds
        batch_draws = draw_augmentations(rank_positions.stop, self.settings, augmentation_seed)
        device_rows = np.searchsorted(self.image_rows, rank_images.image_rows)
        tensors = [
            torch.from_numpy(device_rows),
            torch.from_numpy(batch_draws[rank_positions].astype(np.float32)),
        ]
        steps: list[TreatmentStep] = []
        if self.treatment:
            groups = self.treatment.group_drawn_strengths(rank_images.image_rows, treatment_seed)
            for positions, strength, seed in groups:
                remedy, values = self._prepare_remedy(strength, positions, rank_images, seed)
                steps.append((remedy, seed % 2**63))
                tensors += [torch.from_numpy(positions), values]
        return tensors, partial(self._build_pixels, steps)

    def _prepare_remedy(
        self, strength: RemedyStrength, positions: RowIndices, images: TrainingImages, seed: int
    ) -> tuple[str, Tensor]:
        """Return (remedy, strengths) for the device, or ("", treated images) from the host."""
        is_replaced = strength.simulated_slice or strength.tone_slice
        if not is_replaced and strength.remedy in BATCH_REMEDIES:
            remedy = BATCH_REMEDIES[strength.remedy]
            strengths = remedy.draw_strengths(len(positions), strength.low, strength.high, seed)
            return strength.remedy, torch.from_numpy(strengths)
        treated_pixels = cast(TargetedTreatment, self.treatment).apply_strength(
            strength,
            images.image_rows[positions],
            images.select_images(positions).load_pixels(),
            seed,
        )
        return "", torch.from_numpy(treated_pixels)

    def _build_pixels(
        self,
        treatment_steps: Sequence[TreatmentStep],
        device_rows: Tensor,
        draws: Tensor,
        *step_tensors: Tensor,
    ) -> Tensor:
        images = self.pixels[device_rows].permute(0, 3, 1, 2).float()
        for (remedy, seed), positions, values in zip(
            treatment_steps, step_tensors[::2], step_tensors[1::2], strict=True
        ):
            if remedy:
                images[positions] = BATCH_REMEDIES[remedy](images[positions], values, seed)
            else:
                images[positions] = values.permute(0, 3, 1, 2).float()
        return normalize_pixels(augment_tensor(images, draws), self.meta)


def create_resident_source(
    training_images: TrainingImages,
    meta: Mapping[str, Any],
    settings: FitSettings,
    treatment: TargetedTreatment | None,
    device: torch.device,
) -> ResidentSource:
    """Return a source whose images are all copied to the device, each once.

    Args:
        training_images: the images; one that is repeated is copied once.
        meta: the model's metadata with `mean` and `std`.
        settings: settings of the training.
        treatment: what changes a batch before the augmentation, if anything.
        device: the device of the training.
    """
    rows = np.unique(training_images.image_rows)
    shape = (len(rows), *training_images.pixels.shape[1:])
    device_pixels = torch.empty(shape, dtype=torch.uint8, device=device)
    for start in range(0, len(rows), TRANSFER_CHUNK_SIZE):
        stop = start + TRANSFER_CHUNK_SIZE
        chunk = np.asarray(training_images.pixels[rows[start:stop]])
        device_pixels[start:stop] = torch.from_numpy(chunk)
    return ResidentSource(meta, settings, treatment, rows, device_pixels)


def can_reside_in_memory(images: TrainingImages, device: torch.device) -> bool:
    """Return whether the images fit in the memory of the GPU; False for a CPU."""
    if device.type != "cuda":
        return False
    free_bytes, _ = torch.cuda.mem_get_info(device)
    pixel_bytes = len(images) * int(np.prod(images.pixels.shape[1:]))
    return pixel_bytes <= RESIDENT_MEMORY_SHARE * free_bytes


def create_batch_source(
    training_images: TrainingImages,
    meta: Mapping[str, Any],
    settings: FitSettings,
    treatment: BatchTreatment | None,
    *,
    is_resident: bool,
) -> BatchSource:
    """Return a resident source if there is room and the device can apply the treatment.

    The device applies the treatment of a plan, or none; every other treatment needs the host.

    Args:
        training_images: the images.
        meta: the model's metadata with `mean` and `std`.
        settings: settings of the training.
        treatment: what changes a batch before the augmentation, if anything.
        is_resident: whether the images fit in the device's memory.
    """
    device = select_device()
    can_reside = is_resident and training_images.pixels.ndim == 4
    if can_reside and (treatment is None or isinstance(treatment, TargetedTreatment)):
        return create_resident_source(training_images, meta, settings, treatment, device)
    return HostSource(meta, settings, treatment, device)
