"""The whole decision as one torch module: pixels in; class, probabilities, answer or decline, and correction out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.learning.measures import MEASURES, luma

OUTPUTS = ("predicted", "probabilities", "answer", "correction")
Asked = tuple[str, str, Any]
"""(attribute, op, value) of a condition: `<=`, `>=` (a number) or `between` (from, to; from > to goes round)."""


Change = nn.Module
"""Pixels float32 [N, S, S, 3] in whole grey levels to the same: `Table`, `Spread` or `Resampled`."""


class Table(nn.Module):
    """Each value of each channel replaced by another. levels: uint8 [256, 3]."""

    levels: Tensor

    def __init__(self, levels: NDArray[np.uint8]) -> None:
        """See the class."""
        super().__init__()
        self.register_buffer("levels", torch.from_numpy(levels.astype(np.float32)))

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 [N, S, S, 3] to the same."""
        at = pixels.long()
        return torch.stack([self.levels[:, c][at[..., c]] for c in range(3)], dim=-1)


class Spread(nn.Module):
    """Each value's distance from the photo's mean luma multiplied by `factor`."""

    def __init__(self, factor: float) -> None:
        """See the class."""
        super().__init__()
        self.factor = factor

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 [N, S, S, 3] to the same."""
        mean = luma(pixels).double().mean((1, 2))[:, None, None, None]
        return torch.clamp(torch.round(mean + self.factor * (pixels.double() - mean)), 0, 255).float()


class Resampled(nn.Module):
    """Each pixel taken from another place, between pixels linearly, in OpenCV 5's order and in its float32.

    places: float64 [S, S, 2], x and y in px.
    """

    at: Tensor
    x: Tensor
    y: Tensor

    def __init__(self, places: NDArray[np.float64]) -> None:
        """See the class."""
        super().__init__()
        side = len(places)
        first = np.clip(np.floor(places), 0, side - 2).astype(np.int64)
        corner = (first[..., 1] * side + first[..., 0]).ravel()
        self.register_buffer("at", torch.from_numpy(np.stack([corner, corner + 1, corner + side, corner + side + 1])))
        for k, name in enumerate("xy"):
            part = (places - first)[..., k].reshape(-1, 1).astype(np.float32)
            self.register_buffer(name, torch.from_numpy(part))

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 [N, S, S, 3] to the same."""
        flat = pixels.flatten(1, 2)
        left, right, below, beyond = (flat[:, self.at[k]] for k in range(4))
        above, under = left + self.x * (right - left), below + self.x * (beyond - below)
        return torch.clamp(torch.round(above + self.y * (under - above)), 0, 255).reshape(pixels.shape)


@dataclass(frozen=True)
class Correction:
    """What is done to a photo that meets every condition. change: a module as those above."""

    asked: tuple[Asked, ...]
    change: Change


def met(asked: Sequence[Asked], pixels: Tensor) -> Tensor:
    """bool [N]: whether every condition holds, each measured on the pixels, float32 [N, S, S, 3]."""
    inside = torch.ones(pixels.shape[0], dtype=torch.bool)
    for attribute, op, value in asked:
        inside = inside & _holds(MEASURES[attribute](pixels), op, value)
    return inside


def _holds(values: Tensor, op: str, value: Any) -> Tensor:
    if op == "between":
        low, high = value
        above, below = torch.ge(values, low), torch.lt(values, high)
        return above & below if low <= high else above | below
    return torch.le(values, value) if op == "<=" else torch.ge(values, value)


def admitted(asked: Sequence[Asked], pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """`met` for pixels uint8 [N, S, S, 3]: bool [N]."""
    return np.asarray(met(asked, torch.from_numpy(np.ascontiguousarray(pixels)).float()).numpy())


def changed(change: Change, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What a module as those above makes of pixels uint8 [N, S, S, 3]: float32, whole grey levels."""
    return np.asarray(change(torch.from_numpy(np.ascontiguousarray(pixels)).float()).numpy())


class Served(nn.Module):
    """A network with all that its decision needs. Deterministic; on the CPU.

    meta: `mean`, `std`, `temperature` of the bundle. threshold: the least confidence that is answered, None: nobody is;
    light: the least mean luminance, None: any.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        meta: Mapping[str, Any],
        corrections: Sequence[Correction],
        threshold: float | None,
        light: float | None = None,
    ) -> None:
        """See the class; `network` is moved to the CPU."""
        super().__init__()
        self.network = network.cpu().to(memory_format=torch.contiguous_format).eval().requires_grad_(False)
        self.asked = [c.asked for c in corrections]
        self.changes = nn.ModuleList([c.change for c in corrections])
        self.temperature = float(meta.get("temperature") or 1.0)
        self.threshold = float("inf") if threshold is None else float(threshold)
        self.light = () if light is None else (("luminance", ">=", float(light)),)
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(meta[name]).view(1, 3, 1, 1) * 255)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """uint8 [N, S, S, 3] RGB to class index int64 [N], calibrated probabilities float32 [N, classes], whether to
        answer (else decline) bool [N], and which correction was made int64 [N] (-1: none)."""
        seen = pixels.float()
        shown, done = seen, torch.full_like(pixels[:, 0, 0, 0], -1, dtype=torch.int64)
        for number, (asked, change) in enumerate(zip(self.asked, self.changes, strict=True)):
            inside = met(asked, seen) & (done < 0)
            shown = torch.where(inside[:, None, None, None], change(seen), shown)
            done = torch.where(inside, number, done)
        scores = self.network((shown.permute(0, 3, 1, 2) - self.mean) / self.std)
        chance = torch.softmax(scores.double() / self.temperature, dim=1)
        answer = (chance.amax(1) >= self.threshold) & met(self.light, seen)
        return chance.argmax(1), chance.float(), answer, done
