"""The whole decision as one torch module: pixels in; class, probabilities, answer or decline, and correction out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.learning.models.graph_attributes import ATTRIBUTE_FUNCTIONS, compute_luma

OUTPUT_NAMES = ("predicted", "probabilities", "answer", "correction")
AttributeCondition = tuple[str, str, Any]
"""(attribute, op, value) of a condition: `<=`, `>=` (a number) or `between` (from, to; from > to goes round)."""


PixelTransform = nn.Module
"""Pixels float32 [N, S, S, 3] in whole gray levels to the same: `Table`, `Spread` or `Resampled`."""


class LookupTable(nn.Module):
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


class ContrastScaling(nn.Module):
    """Each value's distance from the image's mean luma multiplied by `factor`."""

    def __init__(self, factor: float) -> None:
        """See the class."""
        super().__init__()
        self.factor = factor

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 [N, S, S, 3] to the same."""
        mean = compute_luma(pixels).double().mean((1, 2))[:, None, None, None]
        return torch.clamp(
            torch.round(mean + self.factor * (pixels.double() - mean)), 0, 255
        ).float()


class ImageResampling(nn.Module):
    """Each pixel taken from another place, between pixels linearly, in OpenCV 5's order and in its float32.

    places: float64 [S, S, 2], x and y in px.
    """

    at: Tensor
    x: Tensor
    y: Tensor

    def __init__(self, source_positions: NDArray[np.float64]) -> None:
        """See the class."""
        super().__init__()
        side = len(source_positions)
        first = np.clip(np.floor(source_positions), 0, side - 2).astype(np.int64)
        corner = (first[..., 1] * side + first[..., 0]).ravel()
        self.register_buffer(
            "at", torch.from_numpy(np.stack([corner, corner + 1, corner + side, corner + side + 1]))
        )
        for k, name in enumerate("xy"):
            part = (source_positions - first)[..., k].reshape(-1, 1).astype(np.float32)
            self.register_buffer(name, torch.from_numpy(part))

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 [N, S, S, 3] to the same."""
        flat = pixels.flatten(1, 2)
        left, right, below, beyond = (flat[:, self.at[k]] for k in range(4))
        above, under = left + self.x * (right - left), below + self.x * (beyond - below)
        return torch.clamp(torch.round(above + self.y * (under - above)), 0, 255).reshape(
            pixels.shape
        )


@dataclass(frozen=True)
class ImageCorrection:
    """What is done to a image that meets every condition. change: a module as those above."""

    conditions: tuple[AttributeCondition, ...]
    transform: PixelTransform


def evaluate_conditions(conditions: Sequence[AttributeCondition], pixels: Tensor) -> Tensor:
    """bool [N]: whether every condition holds, each measured on the pixels, float32 [N, S, S, 3]."""
    inside = torch.ones(pixels.shape[0], dtype=torch.bool)
    for attribute, op, value in conditions:
        inside = inside & _compare_values(ATTRIBUTE_FUNCTIONS[attribute](pixels), op, value)
    return inside


def _compare_values(values: Tensor, comparison: str, limit: Any) -> Tensor:
    if comparison == "between":
        low, high = limit
        above, below = torch.ge(values, low), torch.lt(values, high)
        return above & below if low <= high else above | below
    return torch.le(values, limit) if comparison == "<=" else torch.ge(values, limit)


def check_image_conditions(
    conditions: Sequence[AttributeCondition], pixels: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """`met` for pixels uint8 [N, S, S, 3]: bool [N]."""
    return np.asarray(
        evaluate_conditions(
            conditions, torch.from_numpy(np.ascontiguousarray(pixels)).float()
        ).numpy()
    )


def apply_pixel_transform(
    transform: PixelTransform, pixels: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """What a module as those above makes of pixels uint8 [N, S, S, 3]: float32, whole gray levels."""
    return np.asarray(transform(torch.from_numpy(np.ascontiguousarray(pixels)).float()).numpy())


class DecisionModule(nn.Module):
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
        corrections: Sequence[ImageCorrection],
        threshold: float | None,
        min_luminance: float | None = None,
    ) -> None:
        """See the class; `network` is moved to the CPU."""
        super().__init__()
        self.network = (
            network.cpu().to(memory_format=torch.contiguous_format).eval().requires_grad_(False)
        )
        self.conditions = [c.conditions for c in corrections]
        self.transforms = nn.ModuleList([c.transform for c in corrections])
        self.temperature = float(meta.get("temperature") or 1.0)
        self.threshold = float("inf") if threshold is None else float(threshold)
        self.light_conditions = (
            () if min_luminance is None else (("luminance", ">=", float(min_luminance)),)
        )
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(meta[name]).view(1, 3, 1, 1) * 255)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """uint8 [N, S, S, 3] RGB to class index int64 [N], calibrated probabilities float32 [N, classes], whether to
        answer (else decline) bool [N], and which correction was made int64 [N] (-1: none)."""
        seen = pixels.float()
        shown, done = seen, torch.full_like(pixels[:, 0, 0, 0], -1, dtype=torch.int64)
        for number, (asked, change) in enumerate(
            zip(self.conditions, self.transforms, strict=True)
        ):
            inside = evaluate_conditions(asked, seen) & (done < 0)
            shown = torch.where(inside[:, None, None, None], change(seen), shown)
            done = torch.where(inside, number, done)
        scores = self.network((shown.permute(0, 3, 1, 2) - self.mean) / self.std)
        chance = torch.softmax(scores.double() / self.temperature, dim=1)
        answer = (chance.amax(1) >= self.threshold) & evaluate_conditions(
            self.light_conditions, seen
        )
        return chance.argmax(1), chance.float(), answer, done
