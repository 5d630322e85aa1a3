"""The causes that are planted, written down before anything was measured: what may be looked at, and what may not.

Development: the finder may be improved by looking at these. Held out: they enter the final figures only.
A cause is planted by code of its own where the finder has no remedy of that name (motion blur, fog).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.remedies import apply_remedy

Pixels = NDArray[np.uint8]
Plant = Callable[[Pixels, float, float, int], Pixels]
DEVELOPMENT = ("dark", "low_contrast", "defocus_blur", "jpeg", "rotation", "occlusion")
HELD_OUT = ("bright", "motion_blur", "noise", "color_cast", "fog", "zoomed_out")


@dataclass(frozen=True)
class Cause:
    """remedy: the name under which the finder knows it, and the side of neutral; strengths: low and high of two
    severities, in the remedy's unit where `measured`; grouped: of GTSRB, then of flowers, where they differ."""

    name: str
    remedy: str
    words: int  # 0: below neutral, 1: above (or no neutral)
    strengths: tuple[tuple[float, float], tuple[float, float]]
    plant: Plant
    measured: bool = True


def _remedy(name: str) -> Plant:
    return lambda pixels, low, high, seed: apply_remedy(name, pixels, low, high, seed)


def _each(change: Callable[[Pixels, float, np.random.Generator], NDArray[np.floating]]) -> Plant:
    def plant(pixels: Pixels, low: float, high: float, seed: int) -> Pixels:
        rng = np.random.default_rng(seed)
        treated = [change(image, float(rng.uniform(low, high)), rng) for image in pixels]
        return np.clip(np.rint(np.stack(treated)), 0, 255).astype(np.uint8) if treated else pixels

    return plant


def _motion(image: Pixels, length: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """Uniform motion of `length` px in a random direction."""
    size = int(np.ceil(length)) | 1
    kernel, center, angle = np.zeros((size, size), np.float32), size // 2, rng.uniform(0, np.pi)
    reach = (length / 2) * np.array([np.cos(angle), np.sin(angle)])
    for step in np.linspace(-1, 1, 8 * size):
        x, y = np.clip(np.rint(center + step * reach), 0, size - 1).astype(int)
        kernel[y, x] += 1
    return np.asarray(cv2.filter2D(image.astype(np.float32), -1, kernel / kernel.sum()))


def _fog(image: Pixels, density: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """White-gray veil, denser towards the top."""
    height = image.shape[0]
    share = density * np.linspace(1.1, 0.9, height)[:, None, None]
    return np.asarray(image * (1 - share) + rng.uniform(200, 225) * share)


CAUSES = {
    c.name: c
    for c in (
        Cause("dark", "exposure", 0, ((0.15, 0.25), (0.06, 0.12)), _remedy("exposure")),
        Cause("bright", "exposure", 1, ((2.5, 3.5), (4.0, 6.0)), _remedy("exposure")),
        Cause("low_contrast", "contrast", 0, ((0.10, 0.15), (0.05, 0.08)), _remedy("contrast")),
        Cause("defocus_blur", "blur", 1, ((2.6, 3.2), (3.6, 4.6)), _remedy("blur")),
        Cause("motion_blur", "motion_blur", 1, ((13.0, 16.0), (18.0, 24.0)), _each(_motion)),
        Cause("noise", "noise", 1, ((30.0, 40.0), (50.0, 70.0)), _remedy("noise")),
        Cause("jpeg", "jpeg", 0, ((3.0, 5.0), (1.0, 2.0)), _remedy("jpeg")),
        Cause("rotation", "rotation", 1, ((25.0, 35.0), (40.0, 50.0)), _remedy("rotation")),
        Cause("color_cast", "color_cast", 1, ((6.0, 9.0), (12.0, 20.0)), _remedy("color_cast")),
        Cause("occlusion", "occlusion", 1, ((0.5, 0.6), (0.65, 0.75)), _remedy("occlusion")),
        Cause("fog", "fog", 1, ((0.8, 0.86), (0.88, 0.94)), _each(_fog), measured=False),
        Cause("zoomed_out", "zoom", 0, ((0.35, 0.45), (0.22, 0.3)), _remedy("zoom")),
    )
}
