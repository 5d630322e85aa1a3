"""Outputs of a network: logits, and the features of the frozen packaged network."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from pipeline.contracts import ProgressTracker, iterate_silently
from pipeline.learning.batches.batch_sampling import ArraySubset, PixelArray, build_input_tensor
from pipeline.learning.distributed import get_fabric, map_over_processes
from pipeline.learning.inference.normalization_folding import fold_normalization
from pipeline.learning.models.backbone import (
    ModelMetadata,
    load_frozen_backbone,
    move_to_device,
    select_device,
)

FloatArray = NDArray[np.float32]
FEATURE_COUNT, LAYOUT_FEATURE_COUNT = 1280, 1792
MIDDLE_STAGE_INDEX, LAYOUT_GRID_SIZE = 3, 4  # the stage of 112 features
MAXIMUM_BATCH_PIXELS = 64 * 256**2
"""Pixels of a batch at most: the memory of larger images stays that of 64 at 256 px."""
CPU_BATCH_PIXELS = 1 << 17
"""Pixels of a batch at most on a CPU, 32 images of 64 x 64.

The intermediate results of a larger batch fit no cache: on one core an image of 64 x 64 took 2.0 ms
in batches of 64 and 1.6 ms in batches of 32, and with folded batch norms 0.8 ms and 0.7 ms.
"""
MIN_CPU_BATCH = 8
"""Images of a batch on a CPU for whose sake it may exceed `CPU_BATCH_PIXELS`."""


def fit_batch_size(pixels: Any, batch_size: int, device: torch.device) -> int:
    """Return the batch size, or a smaller one for large images, whose memory and cache it bounds.

    Args:
        pixels: uint8 [N, S, S, 3], or any object of this shape.
        batch_size: images of a batch.
        device: where the batch is computed.
    """
    shape: tuple[int, ...] = pixels.shape
    if len(shape) != 4 or not shape[0]:  # embeddings, or no images
        return batch_size
    area = shape[1] * shape[2]
    if device.type == "cpu":
        batch_size = min(batch_size, max(CPU_BATCH_PIXELS // area, MIN_CPU_BATCH))
    return max(1, min(batch_size, MAXIMUM_BATCH_PIXELS // area))


@cache
def _load_folded_backbone() -> tuple[nn.Module, ModelMetadata]:
    """Return the frozen packaged network with folded batch norms, and its metadata."""
    model, meta = load_frozen_backbone()
    return fold_normalization(model), meta


def compute_outputs(
    model: nn.Module,
    pixels: Any,
    meta: Mapping[str, Any],
    output_count: int,
    batch_size: int = 64,
    track: ProgressTracker = iterate_silently,
) -> FloatArray:
    """Return the model's outputs in evaluation mode, float32 [N, output_count].

    The training mode of each module is restored afterwards. Processes of one group share the
    batches.

    Args:
        model: the network.
        pixels: uint8 [N, S, S, 3], or any object whose slices are.
        meta: `mean` and `std` of the model.
        output_count: number of outputs.
        batch_size: images of a batch at most.
        track: progress tracker.
    """
    device = select_device()
    batch_size = fit_batch_size(pixels, batch_size, device)
    training = [module for module in model.modules() if module.training]
    move_to_device(model).eval()

    def compute_batch(start: int) -> FloatArray:
        x = build_input_tensor(np.asarray(pixels[start : start + batch_size]), meta, device)
        return np.asarray(model(x).float().cpu().numpy())

    with torch.inference_mode(), get_fabric().autocast():
        starts = range(0, len(pixels), batch_size)
        parts = map_over_processes(
            compute_batch, starts, track, unit_name=f"batches of {batch_size} images"
        )
    for module in training:
        module.training = True
    return np.concatenate([np.zeros((0, output_count), np.float32), *parts])


def compute_logits(
    model: nn.Module,
    pixels: PixelArray | ArraySubset,
    meta: Mapping[str, Any],
    batch_size: int = 64,
    track: ProgressTracker = iterate_silently,
) -> FloatArray:
    """Return the logits float32 [N, classes], before softmax and temperature.

    Args:
        model: the network.
        pixels: uint8 [N, S, S, 3]; may be memory-mapped.
        meta: `classes`, `mean` and `std` of the model.
        batch_size: images of a batch.
        track: progress tracker.
    """
    return compute_outputs(model, pixels, meta, len(meta["classes"]), batch_size, track)


def extract_features(
    pixels: PixelArray, batch_size: int = 64, track: ProgressTracker = iterate_silently
) -> FloatArray:
    """Return pooled features of the frozen packaged EfficientNet-Lite0, float32 [N, 1280].

    Args:
        pixels: uint8 [N, S, S, 3].
        batch_size: images of a batch.
        track: progress tracker.
    """
    return extract_features_and_layout(pixels, batch_size, track)[0]


def extract_features_and_layout(
    pixels: PixelArray, batch_size: int = 64, track: ProgressTracker = iterate_silently
) -> tuple[FloatArray, NDArray[np.float16]]:
    """Return the features of `extract_features`, and a layout, float16 [N, 1792].

    The layout holds 112 features of a middle stage on a grid of 4 x 4. Unlike pooled features it
    keeps positions: on the demo's images a logistic head on it is right for 80 %, on pooled
    features for 68 %.

    Args:
        pixels: uint8 [N, S, S, 3].
        batch_size: images of a batch.
        track: progress tracker.
    """
    model, meta = _load_folded_backbone()
    device = select_device()
    batch_size = fit_batch_size(pixels, batch_size, device)

    def compute_batch(start: int) -> tuple[FloatArray, NDArray[np.float16]]:
        x = build_input_tensor(np.asarray(pixels[start : start + batch_size]), meta, device)
        last, maps = cast(Any, model).forward_intermediates(x)
        grid = F.adaptive_avg_pool2d(maps[MIDDLE_STAGE_INDEX], LAYOUT_GRID_SIZE).flatten(1)
        return cast(Any, model).forward_head(last).float().cpu().numpy(), grid.half().cpu().numpy()

    starts = range(0, len(pixels), batch_size)
    with torch.inference_mode(), get_fabric().autocast():
        parts = map_over_processes(
            compute_batch, starts, track, unit_name=f"batches of {batch_size} images"
        )
    pooled = np.concatenate(
        [np.zeros((0, FEATURE_COUNT), np.float32), *(part[0] for part in parts)]
    )
    return pooled, np.concatenate(
        [np.zeros((0, LAYOUT_FEATURE_COUNT), np.float16), *(part[1] for part in parts)]
    )
