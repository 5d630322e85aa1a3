"""A user's model as a function from pixels to scores, whatever it is made of."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

PixelArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

PIXEL_SCALINGS = {
    "0 to 1": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "-1 to 1": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "ImageNet's mean and deviation": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "0 to 255": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}
"""How pixels may be scaled before a model sees them.

Mean and deviation of each channel, of values from 0 to 1.
"""
PROBABILITY_SUM_TOLERANCE = 1e-3
"""Distance of a row's sum from 1 up to which scores count as probabilities."""
MIN_PROBABILITY = 1e-12


class ExternalModel(Protocol):
    """A model that was made elsewhere.

    Attributes:
        side: side of its input, in pixels.
        scalings: the keys of `PIXEL_SCALINGS` that its input may need.
    """

    @property
    def side(self) -> int:
        """Return the side of its input, in pixels."""
        ...

    @property
    def scalings(self) -> tuple[str, ...]:
        """Return the keys of `PIXEL_SCALINGS` that its input may need."""
        ...

    def predict_scores(self, pixels: PixelArray, scaling: str) -> FloatArray:
        """Return scores float32 [N, classes] for pixels uint8 [N, side, side, 3]."""
        ...


def scale_pixels(pixels: PixelArray, scaling: str) -> FloatArray:
    """Return pixels uint8 [N, S, S, 3] as the float32 values of a scaling.

    >>> scale_pixels(np.full((1, 1, 1, 3), 255, np.uint8), "-1 to 1").ravel().tolist()
    [1.0, 1.0, 1.0]
    """
    mean, deviation = np.array(PIXEL_SCALINGS[scaling], np.float32)
    return np.asarray((pixels.astype(np.float32) / 255 - mean) / deviation, dtype=np.float32)


def convert_to_logits(scores: FloatArray) -> FloatArray:
    """Return scores [N, classes] as logits: probabilities become their logarithms.

    >>> convert_to_logits(np.array([[3.0, -1.0]], np.float32)).tolist()
    [[3.0, -1.0]]
    """
    total = scores.sum(1)
    is_share = bool((scores >= 0).all() and (np.abs(total - 1) < PROBABILITY_SUM_TOLERANCE).all())
    return np.log(np.maximum(scores, MIN_PROBABILITY)) if is_share else scores
