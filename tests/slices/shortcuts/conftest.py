"""Images of three shapes, with a mark on most images of one class, and a small trained network."""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from pipeline.slices.shortcuts.shortcut_images import ShortcutImages

CLASS_NAMES = ["cross", "ring", "square"]
IMAGE_SIDE = 32
MARKED_CLASS = 1
MARKED_SHARE = 0.95
MARKS = ("caption", "border", "logo")
PredictFunction = Callable[[np.ndarray], np.ndarray]


def _draw_object(label: int, rng: np.random.Generator) -> np.ndarray:
    """Return an image with a faint shape in the center of a random background."""
    noise = rng.integers(60, 200, (5, 5, 3)).astype(np.uint8)
    background = cv2.resize(noise, (IMAGE_SIDE, IMAGE_SIDE))
    shape = background.copy()
    x, y = rng.integers(14, 18, 2).tolist()
    color = rng.integers(0, 60, 3).tolist()
    if label == 0:
        cv2.line(shape, (x - 6, y), (x + 6, y), color, 2)
        cv2.line(shape, (x, y - 6), (x, y + 6), color, 2)
    elif label == 1:
        cv2.circle(shape, (x, y), 6, color, 2)
    else:
        cv2.rectangle(shape, (x - 5, y - 5), (x + 5, y + 5), color, -1)
    return cv2.addWeighted(background, 0.8, shape, 0.2, 0)


def draw_border(images: np.ndarray) -> None:
    """Draw a dark red border of two pixels into images [..., side, side, 3], in place."""
    is_border = np.ones((IMAGE_SIDE, IMAGE_SIDE), bool)
    is_border[2:-2, 2:-2] = False
    images[..., is_border, :] = (10, 10, 120)


def draw_mark(image: np.ndarray, mark: str | None) -> None:
    """Draw a mark into one image, in place."""
    if mark == "caption":
        image[28:31, 3:29:2] = (250, 250, 250)
    elif mark == "logo":
        cv2.circle(image, (5, 5), 3, (255, 220, 0), -1)
    elif mark == "border":
        draw_border(image)


def draw_images(count: int, mark: str | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels; most rings bear the mark."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(CLASS_NAMES), count)
    images = np.stack([_draw_object(int(label), rng) for label in labels])
    is_marked = (labels == MARKED_CLASS) & (rng.random(count) < MARKED_SHARE)
    for row in np.flatnonzero(is_marked):
        draw_mark(images[row], mark)
    return images, labels


def _scale_pixels(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2) / 128 - 1


@cache
def train_network(mark: str | None) -> PredictFunction:
    """Return the predictions of a network that was trained on images with a mark, or without."""
    images, labels = draw_images(480, mark, seed=1)
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 64, len(CLASS_NAMES)),
    )
    inputs, targets = _scale_pixels(images), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(12):
        for batch in torch.randperm(len(inputs)).split(40):
            optimizer.zero_grad()
            functional.cross_entropy(network(inputs[batch]), targets[batch]).backward()
            optimizer.step()

    def predict_labels(pixels: np.ndarray) -> np.ndarray:
        prediction: np.ndarray = network(_scale_pixels(pixels)).argmax(1).numpy()
        return prediction

    return predict_labels


def build_shortcut_images(
    mark: str | None, group_count: int = 120, seed: int = 2
) -> ShortcutImages:
    """Return 300 images in five folds of whole groups."""
    images, labels = draw_images(300, mark, seed)
    rows = np.arange(len(images))
    group = rows % group_count
    return ShortcutImages(images, rows, labels, group.astype(str), group % 5)
