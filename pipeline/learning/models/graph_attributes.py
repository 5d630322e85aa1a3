"""Attributes computed in torch inside an exported graph, from the pixels of the model's input."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

AttributeFunction = Callable[[Tensor], Tensor]
"""float32 [N, S, S, 3] of whole gray levels to float64 [N]."""

# Rec. 601 in steps of 2^-15, rounded to whole gray levels, as in OpenCV 5.
_LUMA_WEIGHTS = (9798.0, 19235.0, 3735.0)
_SCHARR_KERNEL = ((-3.0, 0.0, 3.0), (-10.0, 0.0, 10.0), (-3.0, 0.0, 3.0))


def compute_luma(pixels: Tensor) -> Tensor:
    """Return the Rec. 601 luma in whole gray levels, float32 [N, S, S]."""
    red, green, blue = pixels.unbind(-1)
    return torch.floor(
        (red * _LUMA_WEIGHTS[0] + green * _LUMA_WEIGHTS[1] + blue * _LUMA_WEIGHTS[2] + 2.0**14)
        * 2.0**-15
    )


def _average_channels(pixels: Tensor) -> tuple[Tensor, ...]:
    """Return the mean of each channel, float64 [N]."""
    return pixels.double().mean((1, 2)).unbind(-1)


def _divide_safely(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return the quotient, or 0 if the denominator is 0."""
    return torch.where(
        denominator > 0, numerator / torch.where(denominator > 0, denominator, 1.0), 0.0
    )


def measure_luminance(pixels: Tensor) -> Tensor:
    """Return the values of `pipeline.attributes.luminance`, float64 [N]."""
    return compute_luma(pixels).double().mean((1, 2))


def measure_contrast(pixels: Tensor) -> Tensor:
    """Return the values of `pipeline.attributes.contrast_level`, float64 [N]."""
    gray = compute_luma(pixels).double()
    return torch.sqrt(((gray - gray.mean((1, 2), keepdim=True)) ** 2).mean((1, 2)))


def measure_saturation(pixels: Tensor) -> Tensor:
    """Return the values of `pipeline.attributes.saturation`, float64 [N]."""
    highest = pixels.amax(-1).double().mean((1, 2))
    lowest = pixels.amin(-1).double().mean((1, 2))
    return _divide_safely(highest - lowest, highest)


def measure_warmth(pixels: Tensor) -> Tensor:
    """Return the values of `pipeline.attributes.warmth`, float64 [N]."""
    red, _, blue = _average_channels(pixels)
    return _divide_safely(red - blue, red + blue)


def measure_tilt(pixels: Tensor) -> Tensor:
    """Return the values of `pipeline.attributes.tilt`, float64 [N]; NaN without any edge."""
    kernel = torch.tensor(_SCHARR_KERNEL)
    edges = F.conv2d(
        compute_luma(pixels)[:, None], torch.stack([kernel, kernel.T])[:, None]
    ).double()
    across, down = edges[:, 0], edges[:, 1]
    power, cross, plain = across**2 + down**2, -2 * across * down, across**2 - down**2
    weight = torch.where(power > 0, power, 1.0)  # where power is 0, so are the others
    sine = (2 * plain * cross / weight).sum((1, 2))
    cosine = ((plain**2 - cross**2) / weight).sum((1, 2))
    angle = torch.atan2(sine.float(), cosine.float()).double()
    known = (sine != 0) | (cosine != 0)
    return torch.where(known, torch.rad2deg(angle) / 4, torch.full_like(angle, float("nan")))


ATTRIBUTE_FUNCTIONS: dict[str, AttributeFunction] = {
    "luminance": measure_luminance,
    "contrast_level": measure_contrast,
    "saturation": measure_saturation,
    "warmth": measure_warmth,
    "tilt": measure_tilt,
}
"""Attributes whose values a small copy of an image keeps closely enough, by name."""
