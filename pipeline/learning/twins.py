"""Remedies as a GPU does them to a whole batch, each photo at its own dose: twins of those of `remedies`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from pipeline import plugins

Change = Callable[[Tensor, Tensor, torch.Generator], Tensor]
"""(photos float32 [n, 3, S, S] of grey levels, doses float32 [n, 1, 1, 1], generator) -> grey levels, unrounded."""


def affine(photos: Tensor, matrices: Tensor, *, reflect: bool) -> Tensor:
    """Photos [n, 3, S, S] under maps float32 [n, 2, 3] from pixels of the result to pixels of the photo, bilinear.

    Pixels are counted from the upper left photo's centre, as OpenCV does, which rounds positions to 1/32 px. Edges
    are reflected about the outermost pixel, or repeated.
    """
    high, wide = photos.shape[2:]
    down = torch.arange(high, device=photos.device).view(1, high, 1)
    right = torch.arange(wide, device=photos.device).view(1, 1, wide)
    rows = matrices.reshape(-1, 2, 3, 1, 1).unbind(1)  # no matrix product: TF32 would move the photos
    x, y = (row[:, 0] * right + row[:, 1] * down + row[:, 2] for row in rows)
    there = torch.stack([2 * x / max(wide - 1, 1) - 1, 2 * y / max(high - 1, 1) - 1], -1)
    padding = "reflection" if reflect else "border"
    return F.grid_sample(photos, there, padding_mode=padding, align_corners=True)


def _about_centre(photos: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Maps [[a, b], [-b, a]] about the photos' centre: float32 [n, 2, 3]."""
    a, b = a.flatten(), b.flatten()
    y, x = ((side - 1) / 2 for side in photos.shape[2:])
    across = torch.stack([a, b, x - a * x - b * y], -1)
    return torch.stack([across, torch.stack([-b, a, y + b * x - a * y], -1)], 1)


def _rotation(photos: Tensor, dose: Tensor, _: torch.Generator) -> Tensor:
    angle = torch.deg2rad(dose)
    return affine(photos, _about_centre(photos, angle.cos(), -angle.sin()), reflect=True)


def _zoom(photos: Tensor, dose: Tensor, _: torch.Generator) -> Tensor:
    return affine(photos, _about_centre(photos, 1 / dose, torch.zeros_like(dose)), reflect=True)


def _luma(photos: Tensor) -> Tensor:
    grey: Tensor = v2.rgb_to_grayscale(photos)
    return grey.round()


def _contrast(photos: Tensor, dose: Tensor, _: torch.Generator) -> Tensor:
    mean = _luma(photos).mean((1, 2, 3), keepdim=True)
    return mean + dose * (photos - mean)


def _colour_cast(photos: Tensor, dose: Tensor, _: torch.Generator) -> Tensor:
    return photos * torch.cat([dose.sqrt(), torch.ones_like(dose), 1 / dose.sqrt()], 1)


def _fog(photos: Tensor, dose: Tensor, _: torch.Generator) -> Tensor:
    airlight: float = plugins.module("remedies", "fog").AIRLIGHT
    return photos * (1 - dose) + airlight * dose


def _quarter_turns(photos: Tensor, dose: Tensor, _: torch.Generator) -> Tensor:
    turns, out = dose.flatten().round() % 4, photos
    for quarters in (1, 2, 3):
        out = torch.where((turns == quarters)[:, None, None, None], photos.rot90(quarters, (2, 3)), out)
    return out


def _blurred(photos: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur, each photo by its own `sigma` (px), up to 3 sigma, edges reflected; 0 leaves a photo as it is.

    The kernel reaches no farther than a quarter of the side.
    """
    rows, columns = (_smoothing(sigma.reshape(-1, 1), side) for side in photos.shape[2:])
    return rows[:, None] @ photos @ columns[:, None].transpose(2, 3)


def _smoothing(sigma: Tensor, side: int) -> Tensor:
    """What blurs a line of pixels: float32 [n, side, side], for sigma [n, 1]. A product, since the number of photos
    differs from step to step, and a convolution's way would be sought for each anew."""
    radius, where = side // 4, sigma.device
    at = torch.arange(-radius, radius + 1, device=where)
    kernel = torch.exp(-(at**2) / (2 * sigma.clamp(min=1e-3) ** 2)) * (at.abs() <= (3 * sigma).round())
    kernel = kernel / kernel.sum(1, keepdim=True)
    to = torch.arange(side, device=where)[:, None] + at  # [side, kernel]: where each pixel looks
    to = (side - 1) - ((side - 1) - to.abs()).abs()  # reflected about the outermost pixels
    line = torch.zeros(len(sigma), side, side, device=where)
    return line.scatter_add_(2, to.expand(len(sigma), -1, -1), kernel[:, None].expand(-1, side, -1))


def _blur(photos: Tensor, dose: Tensor, _: torch.Generator) -> Tensor:
    return _blurred(photos, dose)


def _noise(photos: Tensor, dose: Tensor, random: torch.Generator) -> Tensor:
    return photos + dose * torch.randn(photos.shape, generator=random, device=photos.device)


def _low_light(photos: Tensor, dose: Tensor, random: torch.Generator) -> Tensor:
    plugin, count, where = plugins.module("remedies", "low_light"), len(photos), photos.device
    full = (-2 * dose.log2()).clamp(max=1)
    drawn = torch.rand((count, 3, 1, 1, 1), generator=random, device=where)
    flat, soft, shot = (full * part for part in drawn.unbind(1))
    flat = plugin.FLAT * (1.5 * flat - 0.5 * full)
    soft, shot = plugin.SOFT * photos.shape[3] * soft, plugin.SHOT * shot
    scene = _blurred(photos + flat * (photos.mean((1, 2, 3), keepdim=True) - photos), soft)
    cast = torch.randn((count, 3, 1, 1), generator=random, device=where) * plugin.COLOUR
    light = (scene * dose * (full * cast).exp()).clamp(0, 255)
    grains = torch.poisson(light / shot.clamp(min=1e-6), generator=random)
    return torch.where(shot > 0, grains * shot, light)


@dataclass(frozen=True)
class Twin:
    """A remedy on a batch. log: whether doses are drawn log-uniform, as its twin of `remedies` draws them."""

    change: Change
    log: bool = False

    def doses(self, count: int, low: float, high: float, seed: int) -> NDArray[np.float32]:
        """float32 [count] in [low, high], decided by the seed."""
        drawn = np.random.default_rng([seed, 3]).random(count)
        spread = np.exp(np.log(low) + drawn * np.log(high / low)) if self.log else low + drawn * (high - low)
        return np.asarray(spread, dtype=np.float32)

    def __call__(self, photos: Tensor, doses: Tensor, seed: int) -> Tensor:
        """float32 [n, 3, S, S] of whole grey levels, for photos of those and doses float32 [n]."""
        random = torch.Generator(photos.device).manual_seed(seed)
        return self.change(photos, doses.reshape(-1, 1, 1, 1), random).round().clamp(0, 255)


TWINS: dict[str, Twin] = {
    "exposure": Twin(lambda photos, dose, _: photos * dose, log=True),
    "gamma": Twin(lambda photos, dose, _: 255 * (photos / 255) ** dose, log=True),
    "contrast": Twin(_contrast, log=True),
    "colour_cast": Twin(_colour_cast, log=True),
    "fog": Twin(_fog),
    "greyscale": Twin(lambda photos, _, __: _luma(photos).expand_as(photos)),
    "horizontal_flip": Twin(lambda photos, _, __: v2.horizontal_flip(photos)),
    "vertical_flip": Twin(lambda photos, _, __: v2.vertical_flip(photos)),
    "quarter_turns": Twin(_quarter_turns),
    "rotation": Twin(_rotation),
    "zoom": Twin(_zoom),
    "blur": Twin(_blur),
    "noise": Twin(_noise),
    "low_light": Twin(_low_light, log=True),
}
"""By the remedy's name. The others are done on the CPU."""
