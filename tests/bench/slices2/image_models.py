"""What the second benchmark needs of a model whose failures are searched."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class ModelImages(Protocol):
    """The images of a model, those of training and of val.

    Attributes:
        pixels: uint8 [images, side, side, 3].
        labels: class name of each image.
        groups: group of each image.
        is_training: bool [images]; the others are val.
        class_names: class names, sorted.
    """

    @property
    def pixels(self) -> NDArray[np.uint8]: ...
    @property
    def labels(self) -> NDArray[Any]: ...
    @property
    def groups(self) -> NDArray[Any]: ...
    @property
    def is_training(self) -> NDArray[np.bool_]: ...
    @property
    def class_names(self) -> list[str]: ...


class ImageModel(Protocol):
    """A trained model with its images.

    Attributes:
        name: name of the data set.
        cache: folder of what is computed once.
        images: the images.
    """

    name: str
    cache: Path

    @property
    def images(self) -> ModelImages: ...

    def predict_logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return logits, float32 [images, classes].

        Args:
            pixels: uint8 [images, side, side, 3].
        """
        ...
