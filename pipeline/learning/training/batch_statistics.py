"""Batch norm statistics of weights that were not trained themselves, such as an average."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.learning.batches.batch_sampling import (
    BatchTreatment,
    TrainingImages,
    build_input_tensor,
)
from pipeline.learning.models.backbone import select_device

STATISTICS_IMAGE_COUNT = 320
"""Images whose statistics are averaged. On the demo's images 600 gave the same accuracy."""
STATISTICS_BATCH_SIZE = 64


def recompute_statistics(
    model: nn.Module,
    meta: Mapping[str, Any],
    images: TrainingImages,
    treatment: BatchTreatment | None,
    seed: int,
) -> None:
    """Recompute the running statistics of batch norm on training images.

    Statistics of mixed weights are not the mix of statistics. A network without batch norm is left
    as it is.

    Source: Izmailov et al. 2018 (stochastic weight averaging), section 3.2.

    Args:
        model: the network; it is in evaluation mode afterwards.
        meta: `mean` and `std` of the model.
        images: images that the weights were trained on; a sample of them is used.
        treatment: the treatment of a batch in that training, or None.
        seed: seed of the sample and of the treatment.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
    if not layers or not len(images):
        return
    order = np.random.default_rng(seed).permutation(len(images))[:STATISTICS_IMAGE_COUNT]
    sample = images.select_images(order)
    pixels = sample.load_pixels()
    if treatment is not None:
        pixels = treatment(sample.image_rows, pixels, seed)
    model.eval()
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean over all batches
        layer.train()
    with torch.inference_mode():
        for start in range(0, len(pixels), STATISTICS_BATCH_SIZE):
            batch = pixels[start : start + STATISTICS_BATCH_SIZE]
            if len(batch) == STATISTICS_BATCH_SIZE or not start:
                model(build_input_tensor(batch, meta, select_device()))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.eval()
