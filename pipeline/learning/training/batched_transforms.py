"""Remedies as a GPU does them to a whole batch, each image at its own strength: twins of those of `remedies`."""

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

BatchTransform = Callable[[Tensor, Tensor, torch.Generator], Tensor]
"""(images float32 [n, 3, S, S] of gray levels, strengths float32 [n, 1, 1, 1], generator) -> gray levels, unrounded."""


def warp_images(images: Tensor, matrices: Tensor, *, should_reflect: bool) -> Tensor:
    """Images [n, 3, S, S] under maps float32 [n, 2, 3] from pixels of the result to pixels of the image, bilinear.

    Pixels are counted from the upper left image's center, as OpenCV does, which rounds positions to 1/32 px. Edges
    are reflected about the outermost pixel, or repeated.
    """
    high, wide = images.shape[2:]
    down = torch.arange(high, device=images.device).view(1, high, 1)
    right = torch.arange(wide, device=images.device).view(1, 1, wide)
    rows = matrices.reshape(-1, 2, 3, 1, 1).unbind(
        1
    )  # no matrix product: TF32 would move the images
    x, y = (row[:, 0] * right + row[:, 1] * down + row[:, 2] for row in rows)
    there = torch.stack([2 * x / max(wide - 1, 1) - 1, 2 * y / max(high - 1, 1) - 1], -1)
    padding = "reflection" if should_reflect else "border"
    return F.grid_sample(images, there, padding_mode=padding, align_corners=True)


def _build_center_maps(images: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Maps [[a, b], [-b, a]] about the images' center: float32 [n, 2, 3]."""
    a, b = a.flatten(), b.flatten()
    y, x = ((side - 1) / 2 for side in images.shape[2:])
    across = torch.stack([a, b, x - a * x - b * y], -1)
    return torch.stack([across, torch.stack([-b, a, y + b * x - a * y], -1)], 1)


def _rotate_images(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    angle = torch.deg2rad(strength)
    return warp_images(
        images, _build_center_maps(images, angle.cos(), -angle.sin()), should_reflect=True
    )


def _zoom_images(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    return warp_images(
        images,
        _build_center_maps(images, 1 / strength, torch.zeros_like(strength)),
        should_reflect=True,
    )


def _compute_luma(images: Tensor) -> Tensor:
    gray: Tensor = v2.rgb_to_grayscale(images)
    return gray.round()


def _scale_contrast(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    mean = _compute_luma(images).mean((1, 2, 3), keepdim=True)
    return mean + strength * (images - mean)


def _apply_color_cast(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    return images * torch.cat([strength.sqrt(), torch.ones_like(strength), 1 / strength.sqrt()], 1)


def _add_fog(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    airlight: float = plugins.load_plugin("remedies", "fog").AIRLIGHT
    return images * (1 - strength) + airlight * strength


def _apply_quarter_turns(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    turns, out = strength.flatten().round() % 4, images
    for quarters in (1, 2, 3):
        out = torch.where(
            (turns == quarters)[:, None, None, None], images.rot90(quarters, (2, 3)), out
        )
    return out


def _blur_by_sigma(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur, each image by its own `sigma` (px), up to 3 sigma, edges reflected; 0 leaves a image as it is.

    The kernel reaches no farther than a quarter of the side.
    """
    rows, columns = (_build_blur_matrix(sigma.reshape(-1, 1), side) for side in images.shape[2:])
    return rows[:, None] @ images @ columns[:, None].transpose(2, 3)


def _build_blur_matrix(sigma: Tensor, side: int) -> Tensor:
    """What blurs a line of pixels: float32 [n, side, side], for sigma [n, 1]. A product, since the number of images
    differs from step to step, and a convolution's way would be sought for each anew."""
    radius, where = side // 4, sigma.device
    at = torch.arange(-radius, radius + 1, device=where)
    kernel = torch.exp(-(at**2) / (2 * sigma.clamp(min=1e-3) ** 2)) * (
        at.abs() <= (3 * sigma).round()
    )
    kernel = kernel / kernel.sum(1, keepdim=True)
    to = torch.arange(side, device=where)[:, None] + at  # [side, kernel]: where each pixel looks
    to = (side - 1) - ((side - 1) - to.abs()).abs()  # reflected about the outermost pixels
    line = torch.zeros(len(sigma), side, side, device=where)
    return line.scatter_add_(2, to.expand(len(sigma), -1, -1), kernel[:, None].expand(-1, side, -1))


def _blur_images(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    return _blur_by_sigma(images, strength)


def _add_noise(images: Tensor, strength: Tensor, generator: torch.Generator) -> Tensor:
    return images + strength * torch.randn(images.shape, generator=generator, device=images.device)


def _simulate_low_light(images: Tensor, strength: Tensor, generator: torch.Generator) -> Tensor:
    plugin, count, where = plugins.load_plugin("remedies", "low_light"), len(images), images.device
    full = (-2 * strength.log2()).clamp(max=1)
    drawn = torch.rand((count, 3, 1, 1, 1), generator=generator, device=where)
    flat, soft, shot = (full * part for part in drawn.unbind(1))
    flat = plugin.FLAT * (1.5 * flat - 0.5 * full)
    soft, shot = plugin.SOFT * images.shape[3] * soft, plugin.SHOT * shot
    scene = _blur_by_sigma(images + flat * (images.mean((1, 2, 3), keepdim=True) - images), soft)
    cast = torch.randn((count, 3, 1, 1), generator=generator, device=where) * plugin.COLOR
    light = (scene * strength * (full * cast).exp()).clamp(0, 255)
    grains = torch.poisson(light / shot.clamp(min=1e-6), generator=generator)
    return torch.where(shot > 0, grains * shot, light)


@dataclass(frozen=True)
class BatchRemedy:
    """A remedy on a batch. log: whether strengths are drawn log-uniform, as its twin of `remedies` draws them."""

    transform: BatchTransform
    is_log_uniform: bool = False

    def draw_strengths(self, count: int, low: float, high: float, seed: int) -> NDArray[np.float32]:
        """float32 [count] in [low, high], decided by the seed."""
        drawn = np.random.default_rng([seed, 3]).random(count)
        spread = (
            np.exp(np.log(low) + drawn * np.log(high / low))
            if self.is_log_uniform
            else low + drawn * (high - low)
        )
        return np.asarray(spread, dtype=np.float32)

    def __call__(self, images: Tensor, strengths: Tensor, seed: int) -> Tensor:
        """float32 [n, 3, S, S] of whole gray levels, for images of those and strengths float32 [n]."""
        random = torch.Generator(images.device).manual_seed(seed)
        return self.transform(images, strengths.reshape(-1, 1, 1, 1), random).round().clamp(0, 255)


BATCH_REMEDIES: dict[str, BatchRemedy] = {
    "exposure": BatchRemedy(lambda images, strength, _: images * strength, is_log_uniform=True),
    "gamma": BatchRemedy(lambda images, strength, _: 255 * (images / 255) ** strength, is_log_uniform=True),
    "contrast": BatchRemedy(_scale_contrast, is_log_uniform=True),
    "color_cast": BatchRemedy(_apply_color_cast, is_log_uniform=True),
    "fog": BatchRemedy(_add_fog),
    "grayscale": BatchRemedy(lambda images, _, __: _compute_luma(images).expand_as(images)),
    "horizontal_flip": BatchRemedy(lambda images, _, __: v2.horizontal_flip(images)),
    "vertical_flip": BatchRemedy(lambda images, _, __: v2.vertical_flip(images)),
    "quarter_turns": BatchRemedy(_apply_quarter_turns),
    "rotation": BatchRemedy(_rotate_images),
    "zoom": BatchRemedy(_zoom_images),
    "blur": BatchRemedy(_blur_images),
    "noise": BatchRemedy(_add_noise),
    "low_light": BatchRemedy(_simulate_low_light, is_log_uniform=True),
}
"""By the remedy's name. The others are done on the CPU."""
