"""Saliency: Grad-CAM heat maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from pipeline.contracts import ProgressTracker, iterate_silently
from pipeline.learning.models.backbone import load_model

MINIMUM_MAP_CELLS = 4  # a map of fewer cells a side shows nothing


class NoHeatMapError(ValueError):
    """The network has no convolution with a map to show."""


def _find_map_layer(model: nn.Module, sample: torch.Tensor) -> nn.Module:
    """Return the deepest convolution whose map has `MINIMUM_MAP_CELLS` cells a side.

    Raises:
        NoHeatMapError: there is none.
    """
    candidates: list[nn.Module] = []

    def record_module(module: nn.Module, _: Any, output: torch.Tensor) -> None:
        if output.ndim == 4 and min(output.shape[-2:]) >= MINIMUM_MAP_CELLS:
            candidates.append(module)

    hooks = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(record_module))
    with torch.no_grad():
        model(sample)
    for hook in hooks:
        hook.remove()
    if not candidates:
        raise NoHeatMapError(
            f"no convolution of this model has a map of {MINIMUM_MAP_CELLS} cells a side at this "
            "image size"
        )
    return candidates[-1]


def _normalize_pixels(pixels: NDArray[np.uint8], meta: Mapping[str, Any]) -> torch.Tensor:
    mean = np.asarray(meta["mean"], dtype=np.float32)
    std = np.asarray(meta["std"], dtype=np.float32)
    return torch.from_numpy(
        ((pixels.astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2).copy()
    )


def compute_grad_cam(
    model: nn.Module,
    pixels: NDArray[np.uint8],
    target_classes: NDArray[np.integer[Any]],
    meta: Mapping[str, Any],
    batch_size: int = 32,
    track: ProgressTracker = iterate_silently,
) -> NDArray[np.uint8]:
    """Return the evidence for the target classes, uint8 [k, S, S]; 255 is the strongest.

    Source: Selvaraju et al. 2017, by the package grad-cam; the deepest map of at least 4 cells a
    side.

    Args:
        model: the network.
        pixels: uint8 [k, S, S, 3].
        target_classes: class indices, [k].
        meta: `mean` and `std` of the model's input, as shares of full brightness.
        batch_size: images of a batch.
        track: progress tracker.

    Raises:
        NoHeatMapError: the network has no map to show.
    """
    maps = np.zeros(pixels.shape[:3], dtype=np.uint8)
    if not len(pixels):
        return maps
    model.eval()
    device = next(model.parameters()).device
    starts = range(0, len(pixels), batch_size)
    with GradCAM(
        model=model,
        target_layers=[_find_map_layer(model, _normalize_pixels(pixels[:1], meta).to(device))],
    ) as cam:
        for start in track(starts, total=len(starts), unit="heat maps"):
            part = slice(start, start + batch_size)
            wanted = [ClassifierOutputTarget(int(t)) for t in target_classes[part]]
            heat = cam(
                input_tensor=_normalize_pixels(pixels[part], meta).to(device), targets=wanted
            )
            maps[part] = np.rint(255 * np.nan_to_num(heat)).clip(0, 255).astype(np.uint8)
    model.zero_grad(set_to_none=True)
    return maps


def compute_heat_maps(
    model_files: Sequence[tuple[Path, Path]],
    pixels: NDArray[np.uint8],
    target_classes: NDArray[np.integer[Any]],
    track: ProgressTracker = iterate_silently,
) -> NDArray[np.uint8]:
    """Return Grad-CAM maps of saved models, uint8 [k, models, S, S].

    A model that is listed twice in a row for the same classes is computed once.

    Args:
        model_files: folder and weights file of each model.
        pixels: uint8 [k, S, S, 3].
        target_classes: class indices, [k, models].
        track: progress tracker.

    Raises:
        NoHeatMapError: a network has no map to show.
    """
    maps = np.zeros((len(pixels), len(model_files), *pixels.shape[1:3]), dtype=np.uint8)
    for k, (folder, weights) in enumerate(model_files):
        if (
            k
            and model_files[k] == model_files[k - 1]
            and (target_classes[:, k] == target_classes[:, k - 1]).all()
        ):
            maps[:, k] = maps[:, k - 1]
        else:
            model, meta = load_model(folder, str(weights.resolve()))
            maps[:, k] = compute_grad_cam(model, pixels, target_classes[:, k], meta, track=track)
    return maps
