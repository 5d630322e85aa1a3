"""The augmentation that all arms share: random crops, flips, shifts and light color jitter.

The host and a GPU apply the same draws, so that a training is the same on both but for rounding.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.learning.batches.batched_transforms import warp_images
from pipeline.learning.training_settings import AugmentationSettings

AugmentationDraws = NDArray[np.float64]
"""Random parameters of each image, float64 [images, 7].

The columns are the scale to the right (negative for a flip) and down, the offset to the right and
down as shares of the side, and the factors of brightness, contrast and saturation. Scale and offset
lead from a position in the result to the position in the image, both counted from the center.
"""
MAX_ASPECT_RATIO = 4 / 3
"""Largest ratio of the sides of a random crop (Szegedy et al. 2015, as in torchvision)."""
LUMA_WEIGHTS = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luma of ITU-R BT.601."""


def draw_augmentations(
    image_count: int, settings: AugmentationSettings, seed: int
) -> AugmentationDraws:
    """Return the random parameters of each image (see `AugmentationDraws`).

    Args:
        image_count: number of images.
        settings: ranges of the parameters; `flip` must be true or false.
        seed: seed of the draw.
    """
    rng = np.random.default_rng(seed)
    shift = settings.max_shift
    area, right, down = rng.uniform(
        (settings.min_crop_area, -shift, -shift), (1, shift, shift), (image_count, 3)
    ).T
    unit = np.random.default_rng([seed, 1]).random((image_count, 7))
    log_aspect = (2 * unit[:, 0] - 1) * (math.log(MAX_ASPECT_RATIO) if area.min() < 1 else 0)
    width = np.minimum(1, np.sqrt(area * np.exp(log_aspect)))
    height = np.minimum(1, np.sqrt(area * np.exp(-log_aspect)))
    offset_x = (unit[:, 1] - 0.5) * (1 - width) - width * right
    offset_y = (unit[:, 2] - 0.5) * (1 - height) - height * down
    direction = np.where((unit[:, 3] < 0.5) & (settings.flip is True), -1, 1)
    color_factors = 1 + settings.color_jitter * (2 * unit[:, 4:] - 1)
    geometry = np.stack([direction * width, height, offset_x, offset_y], 1)
    return np.concatenate([geometry, color_factors], 1)


def augment_images(pixels: NDArray[np.uint8], draws: AugmentationDraws) -> NDArray[np.uint8]:
    """Return each image cropped, flipped, shifted and jittered by its own parameters.

    Pixels that come from outside the image repeat its edge.

    Args:
        pixels: uint8 [n, S, S, 3]; not changed.
        draws: parameters of each image, [n, 7].

    Returns:
        uint8 [n, S, S, 3].
    """
    height, width = pixels.shape[1:3]
    augmented_pixels = np.empty_like(pixels)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for image, draw, augmented in zip(pixels, draws, augmented_pixels, strict=True):
        scale_x, scale_y, offset_x, offset_y = draw[:4]
        first_row = [scale_x, 0, (1 - scale_x) * (width - 1) / 2 + offset_x * width]
        second_row = [0, scale_y, (1 - scale_y) * (height - 1) / 2 + offset_y * height]
        cv2.warpAffine(
            image,
            np.array([first_row, second_row]),
            (width, height),
            dst=augmented,
            flags=flags,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if (draw[4:] != 1).any():
            augmented[:] = _jitter_color(augmented, *draw[4:])
    return augmented_pixels


def _jitter_color(
    image: NDArray[np.uint8], brightness: float, contrast: float, saturation: float
) -> NDArray[np.uint8]:
    """Return the image with its brightness, then contrast, then saturation scaled."""
    luma = np.array(LUMA_WEIGHTS)
    mean = brightness * float(luma @ cv2.mean(image)[:3])
    mixing = saturation * np.eye(3) + (1 - saturation) * luma
    offset = np.full((3, 1), (1 - contrast) * mean)
    matrix = np.concatenate([brightness * contrast * mixing, offset], 1)
    jittered: Any = cv2.transform(image, matrix)
    return np.asarray(jittered, dtype=np.uint8)


def augment_tensor(images: Tensor, draws: Tensor) -> Tensor:
    """Return the images changed as `augment_images` changes them.

    Args:
        images: gray levels, float32 [n, 3, S, S].
        draws: parameters of each image, float32 [n, 7].

    Returns:
        Whole gray levels, float32 [n, 3, S, S].
    """
    height, width = images.shape[2:]
    scale_x, scale_y, offset_x, offset_y, brightness, contrast, saturation = draws.unbind(1)
    zero = torch.zeros_like(scale_x)
    shift_x = (1 - scale_x) * (width - 1) / 2 + offset_x * width
    shift_y = (1 - scale_y) * (height - 1) / 2 + offset_y * height
    first_rows = torch.stack([scale_x, zero, shift_x], -1)
    second_rows = torch.stack([zero, scale_y, shift_y], -1)
    matrices = torch.stack([first_rows, second_rows], 1)
    warped = warp_images(images, matrices, should_reflect=False).round()
    luma_weights = torch.tensor(LUMA_WEIGHTS, device=images.device).view(1, 3, 1, 1)
    luma = (warped * luma_weights).sum(1, keepdim=True)
    brightness, contrast, saturation = (
        factor.view(-1, 1, 1, 1) for factor in (brightness, contrast, saturation)
    )
    mean = brightness * luma.mean((2, 3), keepdim=True)
    mixed = saturation * warped + (1 - saturation) * luma
    return (brightness * contrast * mixed + (1 - contrast) * mean).round().clamp(0, 255)
