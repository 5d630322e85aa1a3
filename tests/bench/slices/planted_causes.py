"""The causes that are planted in clean images, written down before anything was measured.

The finder may be improved by looking at the development causes. The held-out causes enter only the
final figures. Motion blur and fog are planted by separate code, the others by the remedies of the
finder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.remedies import apply_remedy

Pixels = NDArray[np.uint8]
PlantFunction = Callable[[Pixels, float, float, int], Pixels]
"""(pixels, low, high, seed) to pixels with the cause, its strengths uniform in [low, high]."""
ImageFunction = Callable[[Pixels, float, np.random.Generator], NDArray[np.floating]]
StrengthRange = tuple[float, float]
DEVELOPMENT_CAUSES = ("dark", "low_contrast", "defocus_blur", "jpeg", "rotation", "occlusion")
HELD_OUT_CAUSES = ("bright", "motion_blur", "noise", "color_cast", "fog", "zoomed_out")


@dataclass(frozen=True)
class PlantedCause:
    """A cause that is planted.

    Attributes:
        name: name in settings and tables.
        remedy: the remedy under which the finder knows it.
        strength_ranges: low and high of the moderate and of the severe cause, in the unit of the
            remedy if `has_remedy_unit`.
        plant: plants it in images.
        has_remedy_unit: whether the strengths can be compared with the remedy's.
    """

    name: str
    remedy: str
    strength_ranges: tuple[StrengthRange, StrengthRange]
    plant: PlantFunction
    has_remedy_unit: bool = True


def _plant_by_remedy(remedy: str) -> PlantFunction:
    return lambda pixels, low, high, seed: apply_remedy(remedy, pixels, low, high, seed)


def _plant_by_function(change_image: ImageFunction) -> PlantFunction:
    def plant(pixels: Pixels, low: float, high: float, seed: int) -> Pixels:
        if not len(pixels):
            return pixels
        rng = np.random.default_rng(seed)
        changed = [change_image(image, float(rng.uniform(low, high)), rng) for image in pixels]
        return np.clip(np.rint(np.stack(changed)), 0, 255).astype(np.uint8)

    return plant


def _blur_by_motion(image: Pixels, length: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """Return the image blurred by uniform motion of `length` pixels in a random direction."""
    size = int(np.ceil(length)) | 1
    kernel = np.zeros((size, size), np.float32)
    center = size // 2
    angle = rng.uniform(0, np.pi)
    half_path = (length / 2) * np.array([np.cos(angle), np.sin(angle)])
    for position in np.linspace(-1, 1, 8 * size):
        x, y = np.clip(np.rint(center + position * half_path), 0, size - 1).astype(int)
        kernel[y, x] += 1
    return np.asarray(cv2.filter2D(image.astype(np.float32), -1, kernel / kernel.sum()))


def _add_fog(image: Pixels, density: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """Return the image behind a white-gray veil that is denser towards the top."""
    height = image.shape[0]
    veil_share = density * np.linspace(1.1, 0.9, height)[:, None, None]
    return np.asarray(image * (1 - veil_share) + rng.uniform(200, 225) * veil_share)


def _build_remedy_cause(
    name: str, remedy: str, moderate: StrengthRange, severe: StrengthRange
) -> PlantedCause:
    return PlantedCause(name, remedy, (moderate, severe), _plant_by_remedy(remedy))


_MOTION_BLUR = PlantedCause(
    "motion_blur", "motion_blur", ((13.0, 16.0), (18.0, 24.0)), _plant_by_function(_blur_by_motion)
)
_FOG = PlantedCause(
    "fog", "fog", ((0.8, 0.86), (0.88, 0.94)), _plant_by_function(_add_fog), has_remedy_unit=False
)
_ALL_CAUSES = (
    _build_remedy_cause("dark", "exposure", (0.15, 0.25), (0.06, 0.12)),
    _build_remedy_cause("bright", "exposure", (2.5, 3.5), (4.0, 6.0)),
    _build_remedy_cause("low_contrast", "contrast", (0.10, 0.15), (0.05, 0.08)),
    _build_remedy_cause("defocus_blur", "blur", (2.6, 3.2), (3.6, 4.6)),
    _MOTION_BLUR,
    _build_remedy_cause("noise", "noise", (30.0, 40.0), (50.0, 70.0)),
    _build_remedy_cause("jpeg", "jpeg", (3.0, 5.0), (1.0, 2.0)),
    _build_remedy_cause("rotation", "rotation", (25.0, 35.0), (40.0, 50.0)),
    _build_remedy_cause("color_cast", "color_cast", (6.0, 9.0), (12.0, 20.0)),
    _build_remedy_cause("occlusion", "occlusion", (0.5, 0.6), (0.65, 0.75)),
    _FOG,
    _build_remedy_cause("zoomed_out", "zoom", (0.35, 0.45), (0.22, 0.3)),
)
CAUSES = {cause.name: cause for cause in _ALL_CAUSES}
