"""Ask a model: logits, and the frozen features that no training touches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.contracts import Track, silent
from pipeline.learning.backbone import device, frozen_features, placed
from pipeline.learning.batches import Pixels, tensor

Floats = NDArray[np.float32]
FEATURES = 1280


def _forward(model: nn.Module, pixels: Pixels, meta: Mapping[str, Any], batch: int, track: Track, width: int) -> Floats:
    """float32 [N, width]: the model's output in evaluation mode; its own mode is given back afterwards."""
    where, training = device(), model.training
    placed(model).eval()
    out = np.zeros((len(pixels), width), np.float32)
    starts = range(0, len(pixels), batch)
    with torch.inference_mode(), torch.autocast(where.type, torch.bfloat16, enabled=where.type == "cuda"):
        for start in track(starts, total=len(starts), what=f"batches of {batch} photos"):
            x = tensor(np.asarray(pixels[start : start + batch]), meta, where)
            out[start : start + batch] = model(x).float().cpu().numpy()
    model.train(training)
    return out


def logits(model: nn.Module, pixels: Pixels, meta: Mapping[str, Any], batch: int = 64, track: Track = silent) -> Floats:
    """float32 [N, classes], before softmax and temperature, for pixels uint8 [N, S, S, 3] (may be memory-mapped).

    meta: `classes`, `mean` and `std` of the model.
    """
    return _forward(model, pixels, meta, batch, track, len(meta["classes"]))


def features(pixels: Pixels, batch: int = 64, track: Track = silent) -> Floats:
    """float32 [N, 1280]: pooled features of the frozen packaged EfficientNet-Lite0 for pixels uint8 [N, S, S, 3]."""
    model, meta = frozen_features()
    return _forward(model, pixels, meta, batch, track, FEATURES)
