"""Crops, flips, shifts and color jitter, on the host and as tensors."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.learning.batches.standard_augmentation import (
    augment_images,
    augment_tensor,
    draw_augmentations,
)
from pipeline.learning.training_settings import AugmentationSettings

BARE = AugmentationSettings(recipe="bare", max_shift=0.0)


def _augment(
    pixels: NDArray[np.uint8], seed: int, settings: AugmentationSettings
) -> NDArray[np.uint8]:
    return augment_images(pixels, draw_augmentations(len(pixels), settings, seed))


def _draw_textures(count: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return np.stack([cv2.GaussianBlur(image, (0, 0), 2) for image in noise])


def test_shift_moves_the_content_and_repeats_edges() -> None:
    pixels = np.zeros((40, 32, 32, 3), np.uint8)
    pixels[:, 14:18, 14:18] = 200
    pixels[:, :, :2] = 90
    settings = AugmentationSettings(recipe="bare", max_shift=0.25)
    shifted = _augment(pixels, 3, settings)
    center = np.array([np.argwhere(image[..., 0] > 150).mean(0) for image in shifted]) - 15.5
    assert np.abs(center).max() <= 8.5
    assert np.abs(center).max() > 5
    assert len(np.unique(np.rint(center), axis=0)) > 20, "each image has its own shift"
    assert (shifted[center[:, 1] > 1][:, 5, 0, 0] == 90).all(), "the edge is repeated"
    assert np.array_equal(shifted, _augment(pixels, 3, settings))
    assert not np.array_equal(shifted, _augment(pixels, 4, settings))


def test_crops_keep_the_stated_area_and_lie_anywhere() -> None:
    pixels = np.zeros((200, 32, 32, 3), np.uint8)
    pixels[:, :, :, 0] = np.arange(0, 256, 8, dtype=np.uint8)
    pixels[:, :, :, 1] = np.arange(0, 256, 8, dtype=np.uint8)[:, None]
    settings = BARE.model_copy(update={"min_crop_area": 0.25})
    cropped = _augment(pixels, 0, settings).astype(float)
    width = (cropped[:, 16, -1, 0] - cropped[:, 16, 0, 0]) / 248
    height = (cropped[:, -1, 16, 1] - cropped[:, 0, 16, 1]) / 248
    area = width * height
    assert 0.2 < area.min() < 0.35
    assert 0.85 < area.max() <= 1.01
    small = area < 0.5
    left = cropped[small, 16, 0, 0] / 248
    assert left.min() < 0.05
    assert left.max() > 0.3


def test_half_of_the_images_are_mirrored() -> None:
    pixels = np.zeros((200, 8, 8, 3), np.uint8)
    pixels[:, :, :4] = 255
    mirrored = _augment(pixels, 1, BARE.model_copy(update={"flip": True}))
    is_mirrored = mirrored[:, 4, -1, 0] == 255
    assert np.array_equal(mirrored[is_mirrored], pixels[is_mirrored][:, :, ::-1])
    assert np.array_equal(mirrored[~is_mirrored], pixels[~is_mirrored])
    assert 70 < is_mirrored.sum() < 130


def test_jitter_stays_within_its_range() -> None:
    pixels = np.full((100, 8, 8, 3), 100, np.uint8)
    jittered = _augment(pixels, 1, BARE.model_copy(update={"color_jitter": 0.2}))
    assert 79 <= jittered.min() < 84
    assert 116 < jittered.max() <= 121


def test_without_augmentation_pixels_stay_the_same() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    before = pixels.copy()
    assert np.array_equal(_augment(pixels, 1, BARE), pixels)
    _augment(pixels, 1, AugmentationSettings(flip=True))
    assert np.array_equal(pixels, before), "the input is not changed"


@pytest.mark.parametrize(
    "settings",
    [
        AugmentationSettings(recipe="bare", max_shift=0.2),
        AugmentationSettings(color_jitter=0.0, flip=False),
        AugmentationSettings(max_shift=0.06, flip=True, color_jitter=0.4),
    ],
)
def test_tensors_are_augmented_as_images_are(settings: AugmentationSettings) -> None:
    pixels = _draw_textures(16)
    draws = draw_augmentations(len(pixels), settings, 3)
    tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    augmented = augment_tensor(tensor, torch.from_numpy(draws.astype(np.float32)))
    difference = np.abs(augmented.permute(0, 2, 3, 1).numpy() - augment_images(pixels, draws))
    assert difference.mean() < 0.6
    assert difference.max() <= 12
