"""A user's model as a Python function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contracts import InputError
from pipeline.learning.models.external_model import FloatArray, PixelArray

PredictFunction = Callable[[Sequence[PixelArray]], Any]
"""Images uint8 [H, W, 3] in RGB to scores [N, classes]; what it needs else, it does by itself."""
IMAGES_PER_CALL = 64
UNSCALED = "0 to 255, as whole numbers"


@dataclass(frozen=True)
class PythonModel:
    """A classifier by a Python function.

    Attributes:
        predict: the function.
        side: side of the images that interventions are tried on, in pixels.
        class_count: number of scores of an image.
    """

    predict: PredictFunction
    side: int
    class_count: int

    @property
    def scalings(self) -> tuple[str, ...]:
        """Return the one form of pixels that the function gets."""
        return (UNSCALED,)

    def predict_scores(self, pixels: PixelArray, scaling: str = UNSCALED) -> FloatArray:
        """Return scores float32 [N, classes] for pixels uint8 [N, side, side, 3]."""
        return self.predict_images(list(pixels))

    def predict_images(self, images: list[NDArray[np.uint8]]) -> FloatArray:
        """Return scores float32 [N, classes] for images of any size.

        Raises:
            InputError: the function fails or returns another form.
        """
        parts = [np.zeros((0, self.class_count), np.float32)]
        for start in range(0, len(images), IMAGES_PER_CALL):
            parts.append(self._call(images[start : start + IMAGES_PER_CALL]))
        return np.concatenate(parts)

    def _call(self, images: list[NDArray[np.uint8]]) -> FloatArray:
        try:
            scores = np.asarray(self.predict(images), dtype=np.float32)
        except Exception as error:  # a user's function may raise anything
            reason = (str(error).splitlines() or [""])[0]
            raise InputError(
                f"predict: fails on {len(images)} images ({type(error).__name__}: {reason})"
            ) from error
        expected = (len(images), self.class_count)
        if scores.shape != expected or not np.isfinite(scores).all():
            raise InputError(
                f"predict: returns {list(scores.shape)} for {len(images)} images; finite scores "
                f"{list(expected)}, one column for each class, are needed"
            )
        return scores
