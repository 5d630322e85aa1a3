"""Ask a model: logits, and the frozen features that no training touches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from pipeline.contracts import ProgressTracker, iterate_silently
from pipeline.learning import distributed
from pipeline.learning.models.backbone import load_frozen_backbone, move_to_device, select_device
from pipeline.learning.training.batch_sampling import ArraySubset, PixelArray, build_input_tensor
from pipeline.learning.training.device_policy import (
    choose_precision,
    create_autocast,
    describe_device,
)

FloatArray = NDArray[np.float32]
FEATURE_COUNT, LAYOUT_FEATURE_COUNT = 1280, 1792
MIDDLE_STAGE_INDEX, LAYOUT_GRID_SIZE = 3, 4  # the stage of 112 features


def compute_outputs(
    model: nn.Module,
    pixels: Any,
    meta: Mapping[str, Any],
    output_count: int,
    batch_size: int = 64,
    track: ProgressTracker = iterate_silently,
) -> FloatArray:
    """float32 [N, width]: the model's output in evaluation mode; the mode of each part is given back afterwards.

    pixels: as of `logits`, or whatever gives them where it is sliced. Ranks that are together share the batches.
    """
    where, training = select_device(), [part for part in model.modules() if part.training]
    move_to_device(model).eval()

    def answer(start: int) -> FloatArray:
        x = build_input_tensor(np.asarray(pixels[start : start + batch_size]), meta, where)
        return np.asarray(model(x).float().cpu().numpy())

    with (
        torch.inference_mode(),
        create_autocast(where, choose_precision(describe_device(where), 0)),
    ):
        starts = range(0, len(pixels), batch_size)
        parts = distributed.map_over_ranks(
            answer, starts, track, unit_name=f"batches of {batch_size} images"
        )
    for part in training:
        part.training = True
    return np.concatenate([np.zeros((0, output_count), np.float32), *parts])


def compute_logits(
    model: nn.Module,
    pixels: PixelArray | ArraySubset,
    meta: Mapping[str, Any],
    batch_size: int = 64,
    track: ProgressTracker = iterate_silently,
) -> FloatArray:
    """float32 [N, classes], before softmax and temperature, for pixels uint8 [N, S, S, 3] (may be memory-mapped).

    meta: `classes`, `mean` and `std` of the model.
    """
    return compute_outputs(model, pixels, meta, len(meta["classes"]), batch_size, track)


def extract_features(
    pixels: PixelArray, batch_size: int = 64, track: ProgressTracker = iterate_silently
) -> FloatArray:
    """float32 [N, 1280]: pooled features of the frozen packaged EfficientNet-Lite0 for pixels uint8 [N, S, S, 3]."""
    return extract_features_and_layout(pixels, batch_size, track)[0]


def extract_features_and_layout(
    pixels: PixelArray, batch_size: int = 64, track: ProgressTracker = iterate_silently
) -> tuple[FloatArray, NDArray[np.float16]]:
    """`features`, and float16 [N, 1792]: 112 middle features of the same network on a grid of 4 x 4.

    The layout keeps where something is, which pooling forgets: on the demo's images a logistic head on it answers
    80 % right, on the pooled features 68 %.
    """
    model, meta = load_frozen_backbone()
    where = select_device()

    def answer(start: int) -> tuple[FloatArray, NDArray[np.float16]]:
        x = build_input_tensor(np.asarray(pixels[start : start + batch_size]), meta, where)
        last, maps = cast(Any, model).forward_intermediates(x)
        grid = F.adaptive_avg_pool2d(maps[MIDDLE_STAGE_INDEX], LAYOUT_GRID_SIZE).flatten(1)
        return cast(Any, model).forward_head(last).float().cpu().numpy(), grid.half().cpu().numpy()

    starts = range(0, len(pixels), batch_size)
    with (
        torch.inference_mode(),
        create_autocast(where, choose_precision(describe_device(where), 0)),
    ):
        parts = distributed.map_over_ranks(
            answer, starts, track, unit_name=f"batches of {batch_size} images"
        )
    pooled = np.concatenate(
        [np.zeros((0, FEATURE_COUNT), np.float32), *(part[0] for part in parts)]
    )
    return pooled, np.concatenate(
        [np.zeros((0, LAYOUT_FEATURE_COUNT), np.float16), *(part[1] for part in parts)]
    )
