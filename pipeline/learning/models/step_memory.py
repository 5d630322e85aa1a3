"""The memory of a training step on a CPU, foreseen before the system ends the process."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor, nn

from pipeline.contracts import InputError
from pipeline.learning.models.backbone import create_timm_model
from pipeline.storage.free_memory import read_free_memory

SIDE_STEP = 32
"""Sides that are proposed are multiples of the stride of most networks."""
MINIMUM_BATCH_SIZE = 2
"""Fewest images of a batch: batch norm needs more than one."""


@cache
def measure_image_bytes(backbone: str, side: int) -> int:
    """Return the bytes that a training step keeps for the gradients of one image.

    The network runs on torch's meta device, which computes shapes and no values. In five
    measurements on four networks a real step took .87 to 1.7 times as much.

    Args:
        backbone: name of the timm model.
        side: side of the images, in pixels.
    """
    kept: dict[int, Tensor] = {}

    def note_tensor(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with (
        torch.random.fork_rng(devices=[]),
        torch.device("meta"),
        torch.autograd.graph.saved_tensors_hooks(note_tensor, lambda tensor: tensor),
    ):
        model = create_timm_model(backbone, 2, side).train()
        model(torch.empty(MINIMUM_BATCH_SIZE, 3, side, side))
    kept_bytes = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    return kept_bytes // MINIMUM_BATCH_SIZE


def check_step_memory(
    image_bytes: int, batch_size: int, side: int, free_bytes: int | None = None
) -> None:
    """Check that the memory of a training step is free, if the system reports it.

    Args:
        image_bytes: memory for one image, from `measure_image_bytes`.
        batch_size: images of a step.
        side: side of the stored images, in pixels.
        free_bytes: free memory; None for that of this machine.

    Raises:
        InputError: it is not; the error names a side and a batch size that fit.
    """
    free_bytes = read_free_memory() if free_bytes is None else free_bytes
    needed_bytes = image_bytes * batch_size
    if free_bytes is None or needed_bytes <= free_bytes:
        return
    share = free_bytes / needed_bytes
    fixes = ["choose a smaller train.backbone"]
    if (smaller_batch := math.floor(batch_size * share)) >= MINIMUM_BATCH_SIZE:
        fixes.insert(0, f"set batch_size to at most {smaller_batch}")
    if smaller_side := SIDE_STEP * math.floor(side * math.sqrt(share) / SIDE_STEP):
        fixes.insert(0, f"set ingest.side to at most {smaller_side}")
    raise InputError(
        f"ingest.side: a training step on {batch_size} images of {side} px takes about "
        f"{needed_bytes / 1e9:.1f} GB, and {free_bytes / 1e9:.1f} GB are free; "
        f"{', or '.join(fixes)}"
    )
