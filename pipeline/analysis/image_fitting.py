"""The ways that a model's own pipeline may have brought its images to a square."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


class Geometry(StrEnum):
    """How an image of any proportions becomes a square."""

    LETTERBOX = "letterboxed, bars repeat the edge"
    BLACK_LETTERBOX = "letterboxed, black bars"
    STRETCH = "stretched"
    CENTER_CROP = "shorter side to the input, center crop"
    LOOSE_CENTER_CROP = "shorter side to the input / 0.875, center crop"


class Interpolation(StrEnum):
    """How pixels are resampled.

    Pillow averages over all pixels that it reduces (antialiasing), as torchvision does. OpenCV's
    linear and cubic interpolation read the nearest pixels only.
    """

    OPENCV_AREA = "OpenCV area"
    OPENCV_LINEAR = "OpenCV linear"
    OPENCV_CUBIC = "OpenCV cubic"
    PILLOW_BILINEAR = "antialiased bilinear"
    PILLOW_BICUBIC = "antialiased bicubic"
    PILLOW_BOX = "antialiased box"


CROP_SHARES = {Geometry.CENTER_CROP: 1.0, Geometry.LOOSE_CENTER_CROP: 0.875}
"""Side of the crop as a share of the resized shorter side."""
_BORDER_TYPES = {
    Geometry.LETTERBOX: cv2.BORDER_REPLICATE,
    Geometry.BLACK_LETTERBOX: cv2.BORDER_CONSTANT,
}
_OPENCV_FLAGS = {
    Interpolation.OPENCV_LINEAR: cv2.INTER_LINEAR,
    Interpolation.OPENCV_CUBIC: cv2.INTER_CUBIC,
}
_PILLOW_FILTERS = {
    Interpolation.PILLOW_BILINEAR: Image.Resampling.BILINEAR,
    Interpolation.PILLOW_BICUBIC: Image.Resampling.BICUBIC,
    Interpolation.PILLOW_BOX: Image.Resampling.BOX,
}


@dataclass(frozen=True)
class ImageFitting:
    """How an image is brought to the side of a model.

    Attributes:
        geometry: what becomes of its proportions.
        interpolation: how its pixels are resampled.
    """

    geometry: Geometry = Geometry.LETTERBOX
    interpolation: Interpolation = Interpolation.OPENCV_AREA

    def fit_image(self, pixels: Pixels, side: int) -> Pixels:
        """Return uint8 [H, W, 3] as uint8 [side, side, 3].

        >>> wide = np.zeros((4, 8, 3), np.uint8)
        >>> wide[:, 2:6] = 200
        >>> [int(ImageFitting(g).fit_image(wide, 4).mean()) for g in Geometry]
        [100, 50, 100, 200, 200]
        """
        height, width = pixels.shape[:2]
        if self.geometry == Geometry.STRETCH:
            return self._resize(pixels, side, side)
        if self.geometry in _BORDER_TYPES:
            scale = side / max(height, width)
            size = max(1, round(width * scale)), max(1, round(height * scale))
            x, y = side - size[0], side - size[1]
            bars = (y // 2, y - y // 2, x // 2, x - x // 2)
            fitted = self._resize(pixels, *size)
            boxed = cv2.copyMakeBorder(fitted, *bars, _BORDER_TYPES[self.geometry])
            return np.asarray(boxed, dtype=np.uint8)
        # As torchvision's Resize and CenterCrop: the longer side is rounded down.
        resized_side = math.floor(side / CROP_SHARES[self.geometry])
        shorter = min(height, width)
        size = width * resized_side // shorter, height * resized_side // shorter
        resized = self._resize(pixels, *size)
        left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
        return np.ascontiguousarray(resized[top : top + side, left : left + side])

    def _resize(self, pixels: Pixels, width: int, height: int) -> Pixels:
        if pixels.shape[:2] == (height, width):
            return pixels
        if self.interpolation in _PILLOW_FILTERS:
            image = Image.fromarray(pixels)
            resized = image.resize((width, height), _PILLOW_FILTERS[self.interpolation])
            return np.asarray(resized, dtype=np.uint8)
        is_reduced = width * height < pixels.shape[0] * pixels.shape[1]
        area = cv2.INTER_AREA if is_reduced else cv2.INTER_LINEAR
        flag = _OPENCV_FLAGS.get(self.interpolation, area)
        return np.asarray(cv2.resize(pixels, (width, height), interpolation=flag), dtype=np.uint8)
