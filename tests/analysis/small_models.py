"""Small real models of small real images, and independent versions of the usual pipelines."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import nn
from torchvision.transforms import functional as tv

from pipeline.learning.models.backbone import load_frozen_backbone

SIDE = 48
CLASSES = ("a", "b", "c", "d", "e", "f")
Prepare = Callable[[Image.Image], np.ndarray]
"""An image to the model's input, float32 [SIDE, SIDE, 3]."""
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def write_views(folder: Path, count: int, *, longest: int = 150) -> list[Path]:
    """Write windows of two photographs, of many shapes, as PNG; return their paths."""
    photographs = load_sample_images().images
    rng = np.random.default_rng(0)
    paths = []
    for k in range(count):
        photograph = photographs[k % 2]
        height, width = rng.integers(longest // 2, longest, 2)
        top = rng.integers(photograph.shape[0] - height)
        left = rng.integers(photograph.shape[1] - width)
        paths.append(folder / f"{k:03d}.png")
        Image.fromarray(photograph[top : top + height, left : left + width]).save(paths[-1])
    return paths


def _normalize(image: Image.Image | np.ndarray) -> np.ndarray:
    return (np.asarray(image) / 255 - MEAN) / DEVIATION


def _letterbox(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    scale = SIDE / max(pixels.shape[:2])
    size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
    x, y = SIDE - size[0], SIDE - size[1]
    fitted = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return cv2.copyMakeBorder(
        fitted, y // 2, y - y // 2, x // 2, x - x // 2, cv2.BORDER_CONSTANT, value=(0, 0, 0)
    )


def _crop(image: Image.Image, resized: int, mode: tv.InterpolationMode) -> Image.Image:
    return tv.center_crop(tv.resize(image, resized, mode), SIDE)


PIPELINES: dict[str, Prepare] = {
    "torchvision's ImageNet": lambda image: _normalize(
        _crop(image, 54, tv.InterpolationMode.BILINEAR)
    ),
    "timm's bicubic, whole crop": lambda image: (
        np.asarray(_crop(image, SIDE, tv.InterpolationMode.BICUBIC)) / 127.5 - 1
    ),
    "stretched by OpenCV's cubic": lambda image: (
        cv2.resize(np.asarray(image), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) / 255
    ),
    "stretched by OpenCV, unscaled": lambda image: (
        cv2.resize(np.asarray(image), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) / 1.0
    ),
    "letterboxed on black": lambda image: _normalize(_letterbox(image)),
}
"""Pipelines that people use, written with their libraries."""


def prepare_views(paths: list[Path], prepare: Prepare) -> torch.Tensor:
    """Return the images after a pipeline, float32 [N, 3, SIDE, SIDE]."""
    images = [prepare(Image.open(path).convert("RGB")) for path in paths]
    return torch.from_numpy(np.stack(images).astype(np.float32)).permute(0, 3, 1, 2).contiguous()


class PrototypeClassifier(nn.Module):
    """The packaged network with a head that knows six of the images by heart."""

    def __init__(self, prototypes: torch.Tensor) -> None:
        super().__init__()
        self.body = load_frozen_backbone()[0]
        with torch.inference_mode():
            features = self.read_features(prototypes)
        features = torch.from_numpy(features.numpy().copy())
        self.register_buffer("center", features.mean(0))
        spread = features - features.mean(0)
        self.register_buffer("prototypes", spread / spread.norm(dim=1, keepdim=True))

    def read_features(self, images: torch.Tensor) -> torch.Tensor:
        return self.body.forward_head(self.body.forward_features(images), pre_logits=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (self.read_features(images) - self.center) @ self.prototypes.T * 3


def export_model(model: nn.Module, path: Path, side: int = SIDE) -> Path:
    """Write the model as `.pt2` or ONNX with a free batch; return the path."""
    example = (torch.zeros(2, 3, side, side),)
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.suffix == ".pt2":
            torch.export.save(torch.export.export(model, example, dynamic_shapes=shapes), path)
        else:
            torch.onnx.export(model, example, path, dynamic_shapes=shapes, dynamo=True)
    return path
