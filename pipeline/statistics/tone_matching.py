"""Images with the brightness and colors of other images."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from albumentations.augmentations.mixing.domain_adaptation_functional import match_histograms
from numpy.typing import NDArray
from scipy.linalg import sqrtm

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
MIN_VARIANCE = 1e-6
"""Added to the variance of each color, so that gray images have a transport too."""
_LEVELS = np.arange(256) / 255
# IEC 61966-2-1 (sRGB): the light of each of the 256 levels.
_LIGHT_OF_LEVEL = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)


class ToneMethod(StrEnum):
    """How images get the brightness and colors of others."""

    HISTOGRAM = "histogram"
    """The gray levels of one image, channel by channel: another light, other surroundings."""
    TRANSPORT = "color transport"
    """One linear map of light for all images: another camera."""


@dataclass(frozen=True)
class ColorTransport:
    """A linear map of colors in linear light, of 0 to 1.

    Attributes:
        matrix: float64 [3, 3].
        offset: float64 [3].
    """

    matrix: Floats
    offset: Floats

    def map_colors(self, pixels: Pixels) -> Pixels:
        """Return the mapped images, uint8 [n, S, S, 3]."""
        light = np.clip(_LIGHT_OF_LEVEL[pixels] @ self.matrix.T + self.offset, 0, 1)
        levels = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        return np.asarray(np.round(255 * levels), dtype=np.uint8)


def fit_color_transport(pixels: Pixels, lending_images: Pixels) -> ColorTransport:
    """Return the map that gives images the mean and covariance of the light of others.

    Of all such maps it moves the colors least.

    Source: Pitie and Kokaram 2007 (linear Monge-Kantorovitch).

    Args:
        pixels: images to be mapped, uint8 [n, S, S, 3], n > 0.
        lending_images: images that lend their colors, uint8 [m, S, S, 3], m > 0.
    """
    means, covariances = [], []
    for images in (pixels, lending_images):
        light = _LIGHT_OF_LEVEL[images.reshape(-1, 3)]
        means.append(light.mean(0))
        covariances.append(np.cov(light.T) + MIN_VARIANCE * np.eye(3))
    root = np.real(sqrtm(covariances[0]))
    inverse_root = np.linalg.inv(root)
    middle = np.real(sqrtm(root @ covariances[1] @ root))
    matrix = inverse_root @ middle @ inverse_root
    return ColorTransport(matrix, means[1] - matrix @ means[0])


@dataclass(frozen=True)
class ToneLender:
    """Images that lend their brightness and colors.

    Attributes:
        images: the images, uint8 [m, S, S, 3], m > 0.
        transport: the map to apply; None for the gray levels of an image that is drawn.
    """

    images: Pixels
    transport: ColorTransport | None = None

    @classmethod
    def create(cls, method: ToneMethod, images: Pixels, pixels: Pixels) -> ToneLender:
        """Return the lender of a method.

        Args:
            method: the method.
            images: images that lend their tones, uint8 [m, S, S, 3], m > 0.
            pixels: a sample of the images that get them, uint8 [n, S, S, 3], n > 0.
        """
        if method == ToneMethod.TRANSPORT:
            return cls(images, fit_color_transport(pixels, images))
        return cls(images)

    def lend_tones(self, pixels: Pixels, seed: int) -> Pixels:
        """Return images with the tones of the lending ones, uint8 [n, S, S, 3].

        Source of histogram matching: Gonzalez and Woods 2018, section 3.3.

        Args:
            pixels: uint8 [n, S, S, 3]; not modified.
            seed: seed of the draw of an image for each.
        """
        if self.transport is not None:
            return self.transport.map_colors(pixels)
        drawn_rows = np.random.default_rng(seed).integers(len(self.images), size=len(pixels))
        toned = np.empty(pixels.shape, dtype=np.uint8)
        for row, drawn_row in enumerate(drawn_rows):
            toned[row] = match_histograms(pixels[row], self.images[drawn_row])
        return toned
