"""Where the pixels of a batch come from: the memory map, or the device itself, where all of them lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from pipeline.learning.models.backbone import select_device
from pipeline.learning.training.batch_sampling import (
    BatchTreatment,
    PixelArray,
    RowIndices,
    TrainingImages,
    build_input_tensor,
    draw_shifts,
    normalize_pixels,
    shift_and_crop,
)
from pipeline.learning.training.batched_transforms import BATCH_REMEDIES, warp_images
from pipeline.learning.training.device_policy import PrecisionPolicy
from pipeline.learning.training.targeted_treatment import TargetedTreatment
from pipeline.learning.training_settings import FitSettings

TRANSFER_CHUNK_SIZE = 4096  # images that are sent at once
PixelBuilder = Callable[..., Tensor]
"""What makes pixels, float32 [n, 3, S, S], normalized, of the tensors that were sent."""
TreatmentStep = tuple[str, int]
"""(remedy, seed) of the positions and strengths that are sent; remedy "": of positions, and images treated elsewhere."""


def shift_and_crop_tensor(images: Tensor, draws: Tensor) -> Tensor:
    """`batches.shift_and_crop` of float32 [n, 3, S, S] by draws float32 [n, 3]; whole gray levels."""
    side_y, side_x = images.shape[2:]
    part, right, down = draws.unbind(1)
    keep, none = 1 - part, torch.zeros_like(part)
    x = part * (side_x - 1) / 2 - keep * right * side_x
    y = part * (side_y - 1) / 2 - keep * down * side_y
    maps = torch.stack([torch.stack([keep, none, x], -1), torch.stack([none, keep, y], -1)], 1)
    return warp_images(images, maps, should_reflect=False).round()


class BatchSource(Protocol):
    """Where a batch's pixels come from."""

    def prepare_batch(
        self, rank_images: TrainingImages, rank_positions: slice, seeds: tuple[int, int]
    ) -> tuple[list[Tensor], PixelBuilder]:
        """For the images `own`, the part `share` of a batch: what is sent, and what makes their pixels of it there.

        seeds: of the treatment, and of shift and crop. Any thread may call it; what is made follows from the arguments.
        """
        ...


@dataclass(frozen=True)
class HostSource:
    """Pixels from the memory map, treated, shifted and cropped here."""

    meta: Mapping[str, Any]
    settings: FitSettings
    treatment: BatchTreatment | None
    device: torch.device

    def prepare_pixels(
        self, rank_images: TrainingImages, rank_positions: slice, seeds: tuple[int, int]
    ) -> PixelArray:
        """uint8 [n, S, S, 3] as they are learnt from; embeddings [n, D] as they are."""
        pixels = rank_images.load_pixels()
        if pixels.ndim == 2:
            return pixels
        if self.treatment:
            pixels = self.treatment(rank_images.image_rows, pixels, seeds[0])
        return shift_and_crop(
            pixels,
            self.settings.max_shift,
            self.settings.max_crop,
            seeds[1],
            (rank_positions, rank_positions.stop),
        )

    def prepare_batch(
        self, rank_images: TrainingImages, rank_positions: slice, seeds: tuple[int, int]
    ) -> tuple[list[Tensor], PixelBuilder]:
        """As `Source`."""
        pixels = self.prepare_pixels(rank_images, rank_positions, seeds)
        if self.device.type == "cpu":
            return [build_input_tensor(pixels, self.meta, self.device)], lambda x: x
        return [torch.from_numpy(pixels)], lambda x: build_input_tensor(x, self.meta, x.device)


@dataclass(frozen=True)
class ResidentSource:
    """Pixels that lie on the device: uint8 [rows, S, S, 3] of the rows `rows`, sorted.

    A remedy without a twin is done here, and its images are sent.
    """

    meta: Mapping[str, Any]
    settings: FitSettings
    treatment: TargetedTreatment | None
    image_rows: RowIndices
    pixels: Tensor

    def prepare_batch(
        self, rank_images: TrainingImages, rank_positions: slice, seeds: tuple[int, int]
    ) -> tuple[list[Tensor], PixelBuilder]:
        """As `Source`."""
        draws = draw_shifts(
            rank_positions.stop, self.settings.max_shift, self.settings.max_crop, seeds[1]
        )[rank_positions].astype(np.float32)
        sent, steps = (
            [
                torch.from_numpy(np.searchsorted(self.image_rows, rank_images.image_rows)),
                torch.from_numpy(draws),
            ],
            list[TreatmentStep](),
        )
        for at, strength, seed in (
            self.treatment.group_drawn_strengths(rank_images.image_rows, seeds[0])
            if self.treatment
            else []
        ):
            there = not strength.simulated_slice and strength.remedy in BATCH_REMEDIES
            if there:
                what = torch.from_numpy(
                    BATCH_REMEDIES[strength.remedy].draw_strengths(len(at), strength.low, strength.high, seed)
                )
            else:
                planned = cast(TargetedTreatment, self.treatment)
                what = torch.from_numpy(
                    planned.apply_strength(
                        strength,
                        rank_images.image_rows[at],
                        rank_images.select_images(at).load_pixels(),
                        seed,
                    )
                )
            steps.append((strength.remedy if there else "", seed % 2**63))
            sent += [torch.from_numpy(at), what]
        return sent, partial(self._build_pixels, steps)

    def _build_pixels(
        self,
        treatment_steps: Sequence[TreatmentStep],
        positions: Tensor,
        draws: Tensor,
        *step_tensors: Tensor,
    ) -> Tensor:
        x = self.pixels[positions].permute(0, 3, 1, 2).float()
        for (remedy, seed), at, what in zip(
            treatment_steps, step_tensors[::2], step_tensors[1::2], strict=True
        ):
            x[at] = (
                BATCH_REMEDIES[remedy](x[at], what, seed)
                if remedy
                else what.permute(0, 3, 1, 2).float()
            )
        return normalize_pixels(shift_and_crop_tensor(x, draws), self.meta)


def create_resident_source(
    training_images: TrainingImages,
    meta: Mapping[str, Any],
    settings: FitSettings,
    treatment: TargetedTreatment | None,
    device: torch.device,
) -> ResidentSource:
    """Send each image to the device once."""
    rows = np.unique(training_images.image_rows)
    held = torch.empty(
        (len(rows), *training_images.pixels.shape[1:]), dtype=torch.uint8, device=device
    )
    for start in range(0, len(rows), TRANSFER_CHUNK_SIZE):
        held[start : start + TRANSFER_CHUNK_SIZE] = torch.from_numpy(
            np.asarray(training_images.pixels[rows[start : start + TRANSFER_CHUNK_SIZE]])
        )
    return ResidentSource(meta, settings, treatment, rows, held)


def create_batch_source(
    training_images: TrainingImages,
    meta: Mapping[str, Any],
    settings: FitSettings,
    treatment: BatchTreatment | None,
    precision: PrecisionPolicy,
) -> BatchSource:
    """The device's memory, where `means` has it and the treatment is a plan's or none; else the memory map."""
    if (
        precision.is_data_resident
        and training_images.pixels.ndim == 4
        and (treatment is None or isinstance(treatment, TargetedTreatment))
    ):
        return create_resident_source(training_images, meta, settings, treatment, select_device())
    return HostSource(meta, settings, treatment, select_device())
