"""Where the pixels of a batch come from: the memory map, or the device itself, where all of them lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from pipeline.learning.backbone import device
from pipeline.learning.batches import Photos, Pixels, Rows, Treatment, normalised, shift_and_crop, shift_draws, tensor
from pipeline.learning.hardware import Means
from pipeline.learning.planned import Planned
from pipeline.learning.settings import FitSettings
from pipeline.learning.twins import TWINS, affine

CHUNK = 4096  # photos that are sent at once
Finish = Callable[..., Tensor]
"""What makes pixels, float32 [n, 3, S, S], normalised, of the tensors that were sent."""
Do = tuple[str, int]
"""(remedy, seed) of the positions and doses that are sent; remedy "": of positions, and photos treated elsewhere."""


def moved(photos: Tensor, draws: Tensor) -> Tensor:
    """`batches.shift_and_crop` of float32 [n, 3, S, S] by draws float32 [n, 3]; whole grey levels."""
    side_y, side_x = photos.shape[2:]
    part, right, down = draws.unbind(1)
    keep, none = 1 - part, torch.zeros_like(part)
    x = part * (side_x - 1) / 2 - keep * right * side_x
    y = part * (side_y - 1) / 2 - keep * down * side_y
    maps = torch.stack([torch.stack([keep, none, x], -1), torch.stack([none, keep, y], -1)], 1)
    return affine(photos, maps, reflect=False).round()


class Source(Protocol):
    """Where a batch's pixels come from."""

    def prepare(self, own: Photos, share: slice, seeds: tuple[int, int]) -> tuple[list[Tensor], Finish]:
        """For the photos `own`, the part `share` of a batch: what is sent, and what makes their pixels of it there.

        seeds: of the treatment, and of shift and crop. Any thread may call it; what is made follows from the arguments.
        """
        ...


@dataclass(frozen=True)
class Hosted:
    """Pixels from the memory map, treated, shifted and cropped here."""

    meta: Mapping[str, Any]
    settings: FitSettings
    treatment: Treatment | None
    device: torch.device

    def seen(self, own: Photos, share: slice, seeds: tuple[int, int]) -> Pixels:
        """uint8 [n, S, S, 3] as they are learnt from; embeddings [n, D] as they are."""
        pixels = own.load()
        if pixels.ndim == 2:
            return pixels
        if self.treatment:
            pixels = self.treatment(own.rows, pixels, seeds[0])
        return shift_and_crop(pixels, self.settings.shift, self.settings.crop, seeds[1], (share, share.stop))

    def prepare(self, own: Photos, share: slice, seeds: tuple[int, int]) -> tuple[list[Tensor], Finish]:
        """As `Source`."""
        pixels = self.seen(own, share, seeds)
        if self.device.type == "cpu":
            return [tensor(pixels, self.meta, self.device)], lambda x: x
        return [torch.from_numpy(pixels)], lambda x: tensor(x, self.meta, x.device)


@dataclass(frozen=True)
class Resident:
    """Pixels that lie on the device: uint8 [rows, S, S, 3] of the rows `rows`, sorted.

    A remedy without a twin is done here, and its photos are sent.
    """

    meta: Mapping[str, Any]
    settings: FitSettings
    treatment: Planned | None
    rows: Rows
    pixels: Tensor

    def prepare(self, own: Photos, share: slice, seeds: tuple[int, int]) -> tuple[list[Tensor], Finish]:
        """As `Source`."""
        draws = shift_draws(share.stop, self.settings.shift, self.settings.crop, seeds[1])[share].astype(np.float32)
        sent, steps = [torch.from_numpy(np.searchsorted(self.rows, own.rows)), torch.from_numpy(draws)], list[Do]()
        for at, dose, seed in self.treatment.drawn(own.rows, seeds[0]) if self.treatment else []:
            there = not dose.shows and dose.remedy in TWINS
            if there:
                what = torch.from_numpy(TWINS[dose.remedy].doses(len(at), dose.low, dose.high, seed))
            else:
                planned = cast(Planned, self.treatment)
                what = torch.from_numpy(planned.given(dose, own.rows[at], own.take(at).load(), seed))
            steps.append((dose.remedy if there else "", seed % 2**63))
            sent += [torch.from_numpy(at), what]
        return sent, partial(self._finish, steps)

    def _finish(self, steps: Sequence[Do], positions: Tensor, draws: Tensor, *sent: Tensor) -> Tensor:
        x = self.pixels[positions].permute(0, 3, 1, 2).float()
        for (remedy, seed), at, what in zip(steps, sent[::2], sent[1::2], strict=True):
            x[at] = TWINS[remedy](x[at], what, seed) if remedy else what.permute(0, 3, 1, 2).float()
        return normalised(moved(x, draws), self.meta)


def resident(
    photos: Photos, meta: Mapping[str, Any], settings: FitSettings, treatment: Planned | None, device: torch.device
) -> Resident:
    """Send each photo to the device once."""
    rows = np.unique(photos.rows)
    held = torch.empty((len(rows), *photos.pixels.shape[1:]), dtype=torch.uint8, device=device)
    for start in range(0, len(rows), CHUNK):
        held[start : start + CHUNK] = torch.from_numpy(np.asarray(photos.pixels[rows[start : start + CHUNK]]))
    return Resident(meta, settings, treatment, rows, held)


def source_of(
    photos: Photos, meta: Mapping[str, Any], settings: FitSettings, treatment: Treatment | None, means: Means
) -> Source:
    """The device's memory, where `means` has it and the treatment is a plan's or none; else the memory map."""
    if means.resident and photos.pixels.ndim == 4 and (treatment is None or isinstance(treatment, Planned)):
        return resident(photos, meta, settings, treatment, device())
    return Hosted(meta, settings, treatment, device())
