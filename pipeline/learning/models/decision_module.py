"""The whole decision as one torch module.

It maps pixels to the class, its probabilities, answer or decline, and the applied correction.
"""

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
"""(attribute, op, value) of a condition.

The op is `<=` or `>=` with a number, or `between` with (from, to); from > to wraps around.
"""

PixelTransform = nn.Module
"""Maps pixels float32 [N, S, S, 3] in whole gray levels to the same shape and dtype.

It is a `LookupTable`, a `ContrastScaling` or an `ImageResampling`.
"""


class LookupTable(nn.Module):
    """Replace each value of each channel by its entry in a table.

    Attributes:
        levels: float32 [256, 3].
    """

    levels: Tensor

    def __init__(self, levels: NDArray[np.uint8]) -> None:
        """Create the module from levels, uint8 [256, 3]."""
        super().__init__()
        self.register_buffer("levels", torch.from_numpy(levels.astype(np.float32)))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return float32 [N, S, S, 3] for float32 [N, S, S, 3]."""
        indices = pixels.long()
        return torch.stack([self.levels[:, c][indices[..., c]] for c in range(3)], dim=-1)


class ContrastScaling(nn.Module):
    """Multiply each value's distance from the image's mean luma by `factor`."""

    def __init__(self, factor: float) -> None:
        """Create the module."""
        super().__init__()
        self.factor = factor

    def forward(self, pixels: Tensor) -> Tensor:
        """Return float32 [N, S, S, 3] for float32 [N, S, S, 3]."""
        mean = compute_luma(pixels).double().mean((1, 2))[:, None, None, None]
        return torch.clamp(
            torch.round(mean + self.factor * (pixels.double() - mean)), 0, 255
        ).float()


class ImageResampling(nn.Module):
    """Take each pixel from another position, with bilinear interpolation.

    The float32 operations have the order of OpenCV 5.
    """

    at: Tensor
    x: Tensor
    y: Tensor

    def __init__(self, source_positions: NDArray[np.float64]) -> None:
        """Create the module from source positions (x, y) in pixels, float64 [S, S, 2]."""
        super().__init__()
        side = len(source_positions)
        corners = np.clip(np.floor(source_positions), 0, side - 2).astype(np.int64)
        corner = (corners[..., 1] * side + corners[..., 0]).ravel()
        self.register_buffer(
            "at", torch.from_numpy(np.stack([corner, corner + 1, corner + side, corner + side + 1]))
        )
        for k, name in enumerate("xy"):
            part = (source_positions - corners)[..., k].reshape(-1, 1).astype(np.float32)
            self.register_buffer(name, torch.from_numpy(part))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return float32 [N, S, S, 3] for float32 [N, S, S, 3]."""
        flat = pixels.flatten(1, 2)
        top_left = flat[:, self.at[0]]
        top_right = flat[:, self.at[1]]
        bottom_left = flat[:, self.at[2]]
        bottom_right = flat[:, self.at[3]]
        top = top_left + self.x * (top_right - top_left)
        bottom = bottom_left + self.x * (bottom_right - bottom_left)
        return torch.clamp(torch.round(top + self.y * (bottom - top)), 0, 255).reshape(pixels.shape)


@dataclass(frozen=True)
class ImageCorrection:
    """The correction of an image that meets every condition.

    Attributes:
        conditions: conditions on attributes.
        transform: a module such as `LookupTable`.
    """

    conditions: tuple[AttributeCondition, ...]
    transform: PixelTransform


def evaluate_conditions(conditions: Sequence[AttributeCondition], pixels: Tensor) -> Tensor:
    """Return whether every condition holds, bool [N], for pixels float32 [N, S, S, 3]."""
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
    """Return whether every condition holds, bool [N], for pixels uint8 [N, S, S, 3]."""
    return np.asarray(
        evaluate_conditions(
            conditions, torch.from_numpy(np.ascontiguousarray(pixels)).float()
        ).numpy()
    )


def apply_pixel_transform(
    transform: PixelTransform, pixels: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return the transformed pixels, float32 in whole gray levels, for uint8 [N, S, S, 3]."""
    return np.asarray(transform(torch.from_numpy(np.ascontiguousarray(pixels)).float()).numpy())


class DecisionModule(nn.Module):
    """A network with everything that its decision needs; deterministic, on the CPU."""

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
        """Create the module; `network` is moved to the CPU.

        Args:
            network: maps normalized images to scores.
            meta: `mean`, `std` and `temperature` of the bundle.
            corrections: corrections; the first one that applies is used.
            threshold: minimum confidence of an answer; None declines every image.
            min_luminance: minimum mean luminance of an answer; None for any.
        """
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
        """Return the decision on pixels uint8 [N, S, S, 3] RGB.

        Returns:
            Class index int64 [N]; calibrated probabilities float32 [N, classes]; whether to answer,
            bool [N]; index of the applied correction, int64 [N], -1 for none.
        """
        original = pixels.float()
        corrected = original
        correction = torch.full_like(pixels[:, 0, 0, 0], -1, dtype=torch.int64)
        for number, (conditions, transform) in enumerate(
            zip(self.conditions, self.transforms, strict=True)
        ):
            applies = evaluate_conditions(conditions, original) & (correction < 0)
            corrected = torch.where(applies[:, None, None, None], transform(original), corrected)
            correction = torch.where(applies, number, correction)
        scores = self.network((corrected.permute(0, 3, 1, 2) - self.mean) / self.std)
        probabilities = torch.softmax(scores.double() / self.temperature, dim=1)
        is_answered = (probabilities.amax(1) >= self.threshold) & evaluate_conditions(
            self.light_conditions, original
        )
        return probabilities.argmax(1), probabilities.float(), is_answered, correction
