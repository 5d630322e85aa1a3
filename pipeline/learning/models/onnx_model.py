"""A user's own model as an ONNX file, run by onnxruntime without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.contracts import InputError
from pipeline.learning.models.external_model import (
    PIXEL_SCALINGS,
    FloatArray,
    PixelArray,
    scale_pixels,
)
from pipeline.storage.user_files import MAX_MODEL_BYTES, check_user_file

DEFAULT_BATCH_SIZE = 64


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX image classifier.

    Attributes:
        session: session of onnxruntime.
        side: side of its input, in pixels.
        is_channels_first: whether its input is [N, 3, S, S].
        batch_size: images of a batch.
    """

    session: Any
    side: int
    is_channels_first: bool
    batch_size: int

    @property
    def scalings(self) -> tuple[str, ...]:
        """Return every scaling: the file does not say which one it needs."""
        return tuple(PIXEL_SCALINGS)

    def _predict_batches(self, pixels: PixelArray, scaling: str) -> Iterator[FloatArray]:
        name = self.session.get_inputs()[0].name
        for start in range(0, len(pixels), self.batch_size):
            images = scale_pixels(pixels[start : start + self.batch_size], scaling)
            count = len(images)
            if isinstance(self.session.get_inputs()[0].shape[0], int):  # a fixed batch is filled
                images = np.resize(images, (self.batch_size, *images.shape[1:]))
            if self.is_channels_first:
                images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
            yield np.asarray(self.session.run(None, {name: images})[0])[:count]

    def predict_scores(self, pixels: PixelArray, scaling: str) -> FloatArray:
        """Return scores float32 [N, classes] for pixels uint8 [N, side, side, 3]."""
        parts = []
        for part in self._predict_batches(pixels, scaling):
            parts.append(np.asarray(part, np.float32).reshape(len(part), -1))
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)


def open_session(path: Path) -> Any:
    """Return the onnxruntime session of an ONNX file.

    Raises:
        InputError: onnxruntime or the file is missing, or the file is no ONNX model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            f"{path}: ONNX needs onnxruntime: pip install 'nightshift[onnx]'"
        ) from error
    check_user_file(path, MAX_MODEL_BYTES, "the model")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=onnxruntime.get_available_providers()
        )
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise InputError(
            f"{path}: no ONNX model that onnxruntime reads ({str(error).splitlines()[0]})"
        ) from error


def load_onnx_model(path: Path, default_side: int) -> OnnxModel:
    """Return the model of an ONNX file.

    It has one float input of images, [N, 3, S, S] or [N, S, S, 3]; its first output are the scores.

    Args:
        path: the file.
        default_side: side of the images in pixels, if the file leaves it open.

    Raises:
        InputError: the file has another form.
    """
    session = open_session(path)
    shape, kind = session.get_inputs()[0].shape, session.get_inputs()[0].type
    if len(session.get_inputs()) != 1 or len(shape) != 4 or kind != "tensor(float)":
        raise InputError(
            f"{path}: takes {kind} {shape}; one float input [N, 3, S, S] or [N, S, S, 3] is needed"
        )
    if 3 not in (shape[1], shape[3]):
        raise InputError(
            f"{path}: takes {shape}: neither its second nor its last dimension is 3 channels"
        )
    is_channels_first = shape[1] == 3
    sides = shape[2:] if is_channels_first else shape[1:3]
    side = sides[0] if isinstance(sides[0], int) else default_side
    if isinstance(sides[0], int) and sides[0] != sides[1]:
        raise InputError(
            f"{path}: takes images of {sides[0]} x {sides[1]}; a square input is needed"
        )
    return OnnxModel(
        session,
        side,
        is_channels_first,
        shape[0] if isinstance(shape[0], int) else DEFAULT_BATCH_SIZE,
    )
