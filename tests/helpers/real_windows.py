"""Small windows of real photographs, and conditions planted in them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from sklearn.datasets import load_sample_images
from sklearn.metrics import roc_auc_score

from pipeline.attributes import DecodedImage

Plant = Callable[[np.ndarray], np.ndarray]


def draw_windows(count: int = 60, side: int = 64) -> list[np.ndarray]:
    """Return windows of two photographs at scales from 1 to 4, uint8 [side, side, 3]."""
    photographs = load_sample_images().images
    rng = np.random.default_rng(0)
    windows = []
    for k in range(count):
        height, width = photographs[k % 2].shape[:2]
        size = int(rng.integers(side, min(height, 4 * side)))
        top, left = rng.integers(height - size + 1), rng.integers(width - size + 1)
        window = photographs[k % 2][top : top + size, left : left + size]
        windows.append(cv2.resize(window, (side, side), interpolation=cv2.INTER_AREA))
    return windows


def compute_rank_auc(
    measure: Callable[[DecodedImage], float], plain: list[np.ndarray], changed: list[np.ndarray]
) -> float:
    """Return how often a changed image measures more than a plain one; .5 if alike."""
    values = []
    for pixels in (*plain, *changed):
        copy = np.ascontiguousarray(pixels)
        values.append(measure(DecodedImage(copy, None, copy.shape[1], copy.shape[0])))
    return float(roc_auc_score([0] * len(plain) + [1] * len(changed), values))


def _round(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def darken(pixels: np.ndarray) -> np.ndarray:
    return _round(pixels * 0.3)


def blur(pixels: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(pixels, (0, 0), 1.2)


def add_noise(pixels: np.ndarray) -> np.ndarray:
    return _round(pixels + np.random.default_rng(1).normal(0, 10, pixels.shape))


def warm(pixels: np.ndarray) -> np.ndarray:
    return _round(pixels * np.array([1.2, 1, 0.7]))


def lower_contrast(pixels: np.ndarray) -> np.ndarray:
    return _round((pixels - pixels.mean()) * 0.5 + pixels.mean())


def compress(pixels: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 15])[1], 1)


def add_fog(pixels: np.ndarray) -> np.ndarray:
    return _round(pixels * 0.6 + 215 * 0.4)


def add_lamp(pixels: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(int(pixels.sum()))
    side = len(pixels)
    y, x = np.mgrid[:side, :side] - rng.uniform(0.2, 0.8, (2, 1, 1)) * side
    light = np.exp(-(y**2 + x**2) / (rng.uniform(0.1, 0.2) * side) ** 2)
    return _round(pixels + 400 * light[..., None])


def add_bars(pixels: np.ndarray) -> np.ndarray:
    barred = pixels.copy()
    barred[:7] = barred[-7:] = 128
    return barred


def enlarge(pixels: np.ndarray, factor: float = 3.0) -> np.ndarray:
    side = round(len(pixels) / factor)
    small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, pixels.shape[1::-1], interpolation=cv2.INTER_CUBIC)


OTHER_CONDITIONS: dict[str, Plant] = {
    "dark": darken,
    "blurred": blur,
    "noisy": add_noise,
    "warm": warm,
    "flat": lower_contrast,
    "compressed": compress,
    "foggy": add_fog,
    "lamp": add_lamp,
    "barred": add_bars,
    "enlarged": enlarge,
}
