"""A user's own model as an ONNX file, run by onnxruntime without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.contracts import InputError
from pipeline.storage.user_files import MAX_MODEL_BYTES, check_user_file

PixelArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
DEFAULT_BATCH_SIZE = 64
MINIMUM_AGREEMENT = 0.9  # share of images on which the model must answer as the predictions do
PIXEL_SCALINGS = {
    "0 to 1": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "-1 to 1": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "ImageNet's mean and deviation": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "0 to 255": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}
"""How pixels may be scaled before a model sees them.

Mean and deviation of each channel, of values from 0 to 1.
"""


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX image classifier.

    Attributes:
        session: session of onnxruntime.
        side: side of its input, in pixels.
        is_channels_first: whether its input is [N, 3, S, S].
        batch_size: images of a batch.
        scaling: key of `PIXEL_SCALINGS`.
    """

    session: Any
    side: int
    is_channels_first: bool
    batch_size: int
    scaling: str

    def _prepare_input(self, pixels: PixelArray) -> FloatArray:
        size = (self.side, self.side)
        fitted = [
            p if p.shape[:2] == size else cv2.resize(p, size, interpolation=cv2.INTER_AREA)
            for p in pixels
        ]
        mean, deviation = np.array(PIXEL_SCALINGS[self.scaling], np.float32)
        x = (np.stack(fitted).astype(np.float32) / 255 - mean) / deviation
        return np.ascontiguousarray(
            x.transpose(0, 3, 1, 2) if self.is_channels_first else x, dtype=np.float32
        )

    def _predict_batches(self, pixels: PixelArray) -> Iterator[FloatArray]:
        name = self.session.get_inputs()[0].name
        for start in range(0, len(pixels), self.batch_size):
            yield np.asarray(
                self.session.run(
                    None, {name: self._prepare_input(pixels[start : start + self.batch_size])}
                )[0]
            )

    def predict_scores(self, pixels: PixelArray) -> FloatArray:
        """Return scores float32 [N, classes] for pixels uint8 [N, S, S, 3]."""
        parts = []
        for part in self._predict_batches(pixels):
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
        "0 to 1",
    )


def select_scaling(
    model: OnnxModel, pixels: PixelArray, predictions: NDArray[np.intp], path: Path
) -> tuple[OnnxModel, float]:
    """Return the model with the scaling that agrees best with the predictions, and that share.

    Args:
        model: the model.
        pixels: uint8 [N, S, S, 3].
        predictions: class indices [N] that the model is known to give.
        path: the file, for the error message.

    Raises:
        InputError: the best share is below `MINIMUM_AGREEMENT`: it is another model, its classes
            have another order, or it needs other preprocessing.
    """
    best, share = model, -1.0
    for scaling in PIXEL_SCALINGS:
        tried = OnnxModel(
            model.session, model.side, model.is_channels_first, model.batch_size, scaling
        )
        same = float((tried.predict_scores(pixels).argmax(1) == predictions).mean())
        best, share = (tried, same) if same > share else (best, share)
    if share < MINIMUM_AGREEMENT:
        raise InputError(
            f"{path}: answers as the predictions do for {share:.0%} of the images, "
            f"{MINIMUM_AGREEMENT:.0%} is needed; its classes "
            "must have the order of the sorted prob_ or logit_ columns, and images are "
            "letterboxed to its side"
        )
    return best, share
