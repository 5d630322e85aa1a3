"""Remedies for a whole batch on a GPU, each image at its own strength.

They are counterparts of the transforms in `pipeline.remedies`, which treat one image on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from pipeline.remedies import fog, low_light

BatchTransform = Callable[[Tensor, Tensor, torch.Generator], Tensor]
"""(images, strengths float32 [n, 1, 1, 1], generator) -> treated images.

Images are float32 [n, 3, S, S] in gray levels; those of the result are not rounded yet.
"""
BLUR_RADIUS_SIGMAS = 3
"""OpenCV cuts the Gaussian kernel of 8-bit images off at this many standard deviations, too."""


def warp_images(images: Tensor, matrices: Tensor, *, should_reflect: bool) -> Tensor:
    """Return the images under affine maps, interpolated bilinearly.

    A map leads from pixels of the result to pixels of the image. Positions count from the center of
    the top left pixel, as in OpenCV, which also rounds them to 1/32 px.

    Args:
        images: float32 [n, 3, S, S].
        matrices: the affine maps, float32 [n, 2, 3].
        should_reflect: whether pixels outside the image mirror it about the outermost pixel;
            otherwise they repeat its edge.

    Returns:
        float32 [n, 3, S, S].
    """
    height, width = images.shape[2:]
    down = torch.arange(height, device=images.device).view(1, height, 1)
    right = torch.arange(width, device=images.device).view(1, 1, width)
    # There is no matrix product here: in TF32 it would move the images.
    first_rows, second_rows = matrices.reshape(-1, 2, 3, 1, 1).unbind(1)
    x = first_rows[:, 0] * right + first_rows[:, 1] * down + first_rows[:, 2]
    y = second_rows[:, 0] * right + second_rows[:, 1] * down + second_rows[:, 2]
    grid_x = 2 * x / max(width - 1, 1) - 1
    grid_y = 2 * y / max(height - 1, 1) - 1
    padding = "reflection" if should_reflect else "border"
    return F.grid_sample(
        images, torch.stack([grid_x, grid_y], -1), padding_mode=padding, align_corners=True
    )


def _build_center_maps(images: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return the maps [[a, b], [-b, a]] about the center of the images, float32 [n, 2, 3]."""
    a = a.flatten()
    b = b.flatten()
    height, width = images.shape[2:]
    center_x = (width - 1) / 2
    center_y = (height - 1) / 2
    first_rows = torch.stack([a, b, center_x - a * center_x - b * center_y], -1)
    second_rows = torch.stack([-b, a, center_y + b * center_x - a * center_y], -1)
    return torch.stack([first_rows, second_rows], 1)


def _rotate_images(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    angle = torch.deg2rad(strength)
    matrices = _build_center_maps(images, angle.cos(), -angle.sin())
    return warp_images(images, matrices, should_reflect=True)


def _zoom_images(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    matrices = _build_center_maps(images, 1 / strength, torch.zeros_like(strength))
    return warp_images(images, matrices, should_reflect=True)


def _scale_exposure(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    return images * strength


def _apply_gamma(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    return 255 * (images / 255) ** strength


def _compute_luma(images: Tensor) -> Tensor:
    gray: Tensor = v2.rgb_to_grayscale(images)
    return gray.round()


def _convert_to_grayscale(images: Tensor, _: Tensor, __: torch.Generator) -> Tensor:
    return _compute_luma(images).expand_as(images)


def _scale_contrast(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    mean = _compute_luma(images).mean((1, 2, 3), keepdim=True)
    return mean + strength * (images - mean)


def _apply_color_cast(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    return images * torch.cat([strength.sqrt(), torch.ones_like(strength), 1 / strength.sqrt()], 1)


def _add_fog(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    airlight: float = fog.AIRLIGHT_LEVEL
    return images * (1 - strength) + airlight * strength


def _flip_horizontally(images: Tensor, _: Tensor, __: torch.Generator) -> Tensor:
    flipped: Tensor = v2.horizontal_flip(images)
    return flipped


def _flip_vertically(images: Tensor, _: Tensor, __: torch.Generator) -> Tensor:
    flipped: Tensor = v2.vertical_flip(images)
    return flipped


def _apply_quarter_turns(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    turns = strength.flatten().round() % 4
    turned = images
    for quarters in (1, 2, 3):
        is_turned = (turns == quarters)[:, None, None, None]
        turned = torch.where(is_turned, images.rot90(quarters, (2, 3)), turned)
    return turned


def _blur_by_sigma(images: Tensor, sigma: Tensor) -> Tensor:
    """Return the images blurred by a Gaussian, each by its own `sigma` (px), edges reflected.

    The kernel reaches up to 3 sigma, and no farther than a quarter of the side. A sigma of 0 leaves
    an image as it is.
    """
    height, width = images.shape[2:]
    blur_rows = _build_blur_matrix(sigma.reshape(-1, 1), height)
    blur_columns = _build_blur_matrix(sigma.reshape(-1, 1), width)
    return blur_rows[:, None] @ images @ blur_columns[:, None].transpose(2, 3)


def _build_blur_matrix(sigma: Tensor, side: int) -> Tensor:
    """Return the matrix that blurs a line of pixels, float32 [n, side, side], for sigma [n, 1].

    A matrix product is used instead of a convolution: the number of images differs from step to
    step, and cuDNN would search for the fastest convolution each time.
    """
    radius = side // 4
    device = sigma.device
    offsets = torch.arange(-radius, radius + 1, device=device)
    weights = torch.exp(-(offsets**2) / (2 * sigma.clamp(min=1e-3) ** 2))
    kernel = weights * (offsets.abs() <= (BLUR_RADIUS_SIGMAS * sigma).round())
    kernel = kernel / kernel.sum(1, keepdim=True)
    source = torch.arange(side, device=device)[:, None] + offsets  # [side, kernel]
    source = (side - 1) - ((side - 1) - source.abs()).abs()  # reflected about the outermost pixels
    matrix = torch.zeros(len(sigma), side, side, device=device)
    return matrix.scatter_add_(
        2, source.expand(len(sigma), -1, -1), kernel[:, None].expand(-1, side, -1)
    )


def _blur_images(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    return _blur_by_sigma(images, strength)


def _add_noise(images: Tensor, strength: Tensor, generator: torch.Generator) -> Tensor:
    return images + strength * torch.randn(images.shape, generator=generator, device=images.device)


def _simulate_low_light(images: Tensor, strength: Tensor, generator: torch.Generator) -> Tensor:
    image_count, _, _, width = images.shape
    device = images.device
    # Half a stop less light has all side effects in full.
    severity = (-2 * strength.log2()).clamp(max=1)
    draws = torch.rand((image_count, 3, 1, 1, 1), generator=generator, device=device)
    flat_draw, soft_draw, shot_draw = draws.unbind(1)
    contrast_loss = low_light.MAX_CONTRAST_LOSS * (1.5 * (severity * flat_draw) - 0.5 * severity)
    sigma = low_light.MAX_BLUR_SHARE * width * (severity * soft_draw)
    shot_noise = low_light.MAX_SHOT_NOISE_SHARE * (severity * shot_draw)
    mean = images.mean((1, 2, 3), keepdim=True)
    scene = _blur_by_sigma(images + contrast_loss * (mean - images), sigma)
    gain_draw = torch.randn((image_count, 3, 1, 1), generator=generator, device=device)
    channel_gain = gain_draw * low_light.CHANNEL_GAIN_STD
    light = (scene * strength * (severity * channel_gain).exp()).clamp(0, 255)
    grains = torch.poisson(light / shot_noise.clamp(min=1e-6), generator=generator)
    return torch.where(shot_noise > 0, grains * shot_noise, light)


@dataclass(frozen=True)
class BatchRemedy:
    """A remedy for a whole batch.

    Attributes:
        transform: what changes the images.
        is_log_uniform: whether strengths are drawn log-uniform, as the CPU remedy draws them.
    """

    transform: BatchTransform
    is_log_uniform: bool = False

    def draw_strengths(self, count: int, low: float, high: float, seed: int) -> NDArray[np.float32]:
        """Return random strengths, float32 [count].

        Args:
            count: number of strengths.
            low: lowest strength.
            high: highest strength.
            seed: seed of the draw.
        """
        uniform = np.random.default_rng([seed, 3]).random(count)
        if self.is_log_uniform:
            strengths = np.exp(np.log(low) + uniform * np.log(high / low))
        else:
            strengths = low + uniform * (high - low)
        return np.asarray(strengths, dtype=np.float32)

    def __call__(self, images: Tensor, strengths: Tensor, seed: int) -> Tensor:
        """Return the treated images in whole gray levels, float32 [n, 3, S, S].

        Args:
            images: gray levels, float32 [n, 3, S, S].
            strengths: strength of each image, float32 [n].
            seed: seed of everything else that is random.
        """
        generator = torch.Generator(images.device).manual_seed(seed)
        treated = self.transform(images, strengths.reshape(-1, 1, 1, 1), generator)
        return treated.round().clamp(0, 255)


BATCH_REMEDIES: dict[str, BatchRemedy] = {
    "exposure": BatchRemedy(_scale_exposure, is_log_uniform=True),
    "gamma": BatchRemedy(_apply_gamma, is_log_uniform=True),
    "contrast": BatchRemedy(_scale_contrast, is_log_uniform=True),
    "color_cast": BatchRemedy(_apply_color_cast, is_log_uniform=True),
    "fog": BatchRemedy(_add_fog),
    "grayscale": BatchRemedy(_convert_to_grayscale),
    "horizontal_flip": BatchRemedy(_flip_horizontally),
    "vertical_flip": BatchRemedy(_flip_vertically),
    "quarter_turns": BatchRemedy(_apply_quarter_turns),
    "rotation": BatchRemedy(_rotate_images),
    "zoom": BatchRemedy(_zoom_images),
    "blur": BatchRemedy(_blur_images),
    "noise": BatchRemedy(_add_noise),
    "low_light": BatchRemedy(_simulate_low_light, is_log_uniform=True),
}
"""Batched remedies by the remedy's name. All other remedies run on the CPU."""
