"""A user's own model as a program of `torch.export` (`.pt2`), for prediction only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline.contracts import InputError
from pipeline.learning.models.exported_program import ProgramNetwork
from pipeline.learning.models.external_model import (
    PIXEL_SCALINGS,
    FloatArray,
    PixelArray,
    scale_pixels,
)

BATCH_SIZE = 64


@dataclass(frozen=True)
class ProgramModel:
    """An image classifier by a program of `torch.export`.

    Attributes:
        network: the program.
        side: side of its input, in pixels.
    """

    network: ProgramNetwork
    side: int

    @property
    def scalings(self) -> tuple[str, ...]:
        """Return every scaling: the program does not say which one it needs."""
        return tuple(PIXEL_SCALINGS)

    def predict_scores(self, pixels: PixelArray, scaling: str) -> FloatArray:
        """Return scores float32 [N, outputs] for pixels uint8 [N, side, side, 3]."""
        size = min(self.network.max_batch_size or BATCH_SIZE, BATCH_SIZE)
        parts = []
        with torch.inference_mode():
            for start in range(0, len(pixels), size):
                scaled = scale_pixels(pixels[start : start + size], scaling)
                images = torch.from_numpy(scaled).permute(0, 3, 1, 2).contiguous()
                parts.append(self.network.compute_scores(images).float().numpy())
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)


def load_program_model(path: Path, default_side: int) -> ProgramModel:
    """Return the model of a `.pt2` file.

    Args:
        path: the file.
        default_side: side of the images in pixels, if the program leaves it open.

    Raises:
        InputError: the file is no program from one float32 [N, 3, S, S] to scores [N, classes].
    """
    network = ProgramNetwork(path, [])
    sides = network.input_shape[2:]
    if network.input_shape[1] != 3 or len({size for size in sides if isinstance(size, int)}) > 1:
        raise InputError(f"{path}: takes {network.input_shape}; [N, 3, S, S] is needed")
    model = ProgramModel(network.eval(), network.side or default_side)
    try:
        model.predict_scores(np.zeros((1, model.side, model.side, 3), np.uint8), "0 to 1")
    except (RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: fails on an image of {model.side} px ({reason})") from error
    return model
