"""Attributes as torch computes them inside an exported graph: of the model's small copy, the only pixels it has."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Measure = Callable[[Tensor], Tensor]
"""float32 [N, S, S, 3] of whole grey levels to float64 [N]."""

_LUMA = (9798.0, 19235.0, 3735.0)  # Rec. 601 in steps of 2^-15, rounded to whole grey levels, as OpenCV 5 has it
_SCHARR = ((-3.0, 0.0, 3.0), (-10.0, 0.0, 10.0), (-3.0, 0.0, 3.0))


def luma(pixels: Tensor) -> Tensor:
    """Rec. 601 luma in whole grey levels: float32 [N, S, S]."""
    red, green, blue = pixels.unbind(-1)
    return torch.floor((red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2] + 2.0**14) * 2.0**-15)


def _channels(pixels: Tensor) -> tuple[Tensor, ...]:
    """The mean of each channel, float64 [N]."""
    return pixels.double().mean((1, 2)).unbind(-1)


def _ratio(over: Tensor, under: Tensor) -> Tensor:
    """0 where there is nothing to divide by."""
    return torch.where(under > 0, over / torch.where(under > 0, under, 1.0), 0.0)


def luminance(pixels: Tensor) -> Tensor:
    """As `pipeline.attributes.luminance`."""
    return luma(pixels).double().mean((1, 2))


def contrast(pixels: Tensor) -> Tensor:
    """As `pipeline.attributes.contrast`."""
    grey = luma(pixels).double()
    return torch.sqrt(((grey - grey.mean((1, 2), keepdim=True)) ** 2).mean((1, 2)))


def saturation(pixels: Tensor) -> Tensor:
    """As `pipeline.attributes.saturation`."""
    top, low = (part.double().mean((1, 2)) for part in (pixels.amax(-1), pixels.amin(-1)))
    return _ratio(top - low, top)


def warmth(pixels: Tensor) -> Tensor:
    """As `pipeline.attributes.warmth`."""
    red, _, blue = _channels(pixels)
    return _ratio(red - blue, red + blue)


def tilt(pixels: Tensor) -> Tensor:
    """As `pipeline.attributes.tilt`; NaN where there is no edge."""
    kernel = torch.tensor(_SCHARR)
    edges = F.conv2d(luma(pixels)[:, None], torch.stack([kernel, kernel.T])[:, None]).double()
    across, down = edges[:, 0], edges[:, 1]
    power, cross, plain = across**2 + down**2, -2 * across * down, across**2 - down**2
    weight = torch.where(power > 0, power, 1.0)  # where power is 0, so are the others
    sine, cosine = (2 * plain * cross / weight).sum((1, 2)), ((plain**2 - cross**2) / weight).sum((1, 2))
    angle = torch.atan2(sine.float(), cosine.float()).double()
    known = (sine != 0) | (cosine != 0)
    return torch.where(known, torch.rad2deg(angle) / 4, torch.full_like(angle, float("nan")))


MEASURES: dict[str, Measure] = {
    "luminance": luminance,
    "contrast": contrast,
    "saturation": saturation,
    "warmth": warmth,
    "tilt": tilt,
}
"""Those whose values a small copy keeps near enough to ask for; by the attribute's name."""
