"""Ask a model: logits, and the frozen features that no training touches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from pipeline.contracts import Track, silent
from pipeline.learning import ranks
from pipeline.learning.backbone import device, frozen_features, placed
from pipeline.learning.batches import Part, Pixels, tensor
from pipeline.learning.hardware import autocast, card, means

Floats = NDArray[np.float32]
FEATURES, LAYOUT = 1280, 1792
MIDDLE, GRID = 3, 4  # the stage of 112 features


def outputs(
    model: nn.Module, pixels: Any, meta: Mapping[str, Any], width: int, batch: int = 64, track: Track = silent
) -> Floats:
    """float32 [N, width]: the model's output in evaluation mode; the mode of each part is given back afterwards.

    pixels: as of `logits`, or whatever gives them where it is sliced. Ranks that are together share the batches.
    """
    where, training = device(), [part for part in model.modules() if part.training]
    placed(model).eval()

    def answer(start: int) -> Floats:
        x = tensor(np.asarray(pixels[start : start + batch]), meta, where)
        return np.asarray(model(x).float().cpu().numpy())

    with torch.inference_mode(), autocast(where, means(card(where), 0)):
        starts = range(0, len(pixels), batch)
        parts = ranks.shared(answer, starts, track, what=f"batches of {batch} photos")
    for part in training:
        part.training = True
    return np.concatenate([np.zeros((0, width), np.float32), *parts])


def logits(
    model: nn.Module, pixels: Pixels | Part, meta: Mapping[str, Any], batch: int = 64, track: Track = silent
) -> Floats:
    """float32 [N, classes], before softmax and temperature, for pixels uint8 [N, S, S, 3] (may be memory-mapped).

    meta: `classes`, `mean` and `std` of the model.
    """
    return outputs(model, pixels, meta, len(meta["classes"]), batch, track)


def features(pixels: Pixels, batch: int = 64, track: Track = silent) -> Floats:
    """float32 [N, 1280]: pooled features of the frozen packaged EfficientNet-Lite0 for pixels uint8 [N, S, S, 3]."""
    return features_and_layout(pixels, batch, track)[0]


def features_and_layout(pixels: Pixels, batch: int = 64, track: Track = silent) -> tuple[Floats, NDArray[np.float16]]:
    """`features`, and float16 [N, 1792]: 112 middle features of the same network on a grid of 4 x 4.

    The layout keeps where something is, which pooling forgets: on the demo's photos a logistic head on it answers
    80 % right, on the pooled features 68 %.
    """
    model, meta = frozen_features()
    where = device()

    def answer(start: int) -> tuple[Floats, NDArray[np.float16]]:
        x = tensor(np.asarray(pixels[start : start + batch]), meta, where)
        last, maps = cast(Any, model).forward_intermediates(x)
        grid = F.adaptive_avg_pool2d(maps[MIDDLE], GRID).flatten(1)
        return cast(Any, model).forward_head(last).float().cpu().numpy(), grid.half().cpu().numpy()

    starts = range(0, len(pixels), batch)
    with torch.inference_mode(), autocast(where, means(card(where), 0)):
        parts = ranks.shared(answer, starts, track, what=f"batches of {batch} photos")
    pooled = np.concatenate([np.zeros((0, FEATURES), np.float32), *(part[0] for part in parts)])
    return pooled, np.concatenate([np.zeros((0, LAYOUT), np.float16), *(part[1] for part in parts)])
