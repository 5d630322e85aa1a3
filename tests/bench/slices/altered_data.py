"""Altered data sets, and the small models that are trained on them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.bench.slices.benchmark_images import BenchmarkImages
from tests.bench.slices.clean_models import CleanModel
from tests.bench.slices.planted_settings import PlantedCase, PlantedSetting

SMALL_MODEL_PASSES = 3000
SMALL_MODEL_PROBED_IMAGES = 250
WRONG_LABEL_SHARE = 0.15  # of the labels of one class
CAPTION_SHARE = 0.9  # of the images of one class
KEPT_RARE_TRACKS = 1  # tracks of a rare subclass in training
# Labels of the first class become the second; images of the first class get a caption.
CLASS_PAIRS = {"flowers": ("daisy", "tulip"), "gtsrb": ("danger", "mandatory")}
Mask = NDArray[np.bool_]
AlteredImages = tuple[BenchmarkImages, Mask]
"""The images, and bool [images]: which of them were altered."""


class AlteredModel(CleanModel):
    """The small model of an altered data set.

    Attributes:
        kind: `labels`, `caption` or `rare-<sign>`.
    """

    probed_images = SMALL_MODEL_PROBED_IMAGES

    def __init__(self, name: str, kind: str, cache: Path) -> None:
        """Alter a data set by name."""
        super().__init__(name, cache)
        self.kind, self.image_passes = kind, SMALL_MODEL_PASSES
        self.cache = cache / f"{name}-{kind}"
        self.cache.mkdir(exist_ok=True)
        alter = ALTERATIONS[kind.split("-")[0]]
        self._altered_images = alter(CleanModel(name, cache).images, name, kind)

    @cached_property
    def images(self) -> BenchmarkImages:
        """Return the images after the alteration."""
        return self._altered_images[0]

    @property
    def altered_mask(self) -> Mask:
        """Return bool [val]: which images were altered."""
        return np.asarray(self._altered_images[1][self.val_rows])

    def build_case(self, target_mask: Mask, accuracy_loss: float) -> PlantedCase:
        """Return val as a case whose target images are to be found.

        Args:
            target_mask: bool [val], the images to be found.
            accuracy_loss: accuracy that these images lose.
        """
        setting = PlantedSetting(self.name, self.kind, 0, float(target_mask.mean()), "class")
        return PlantedCase(
            setting, self, target_mask, self.val_outputs, self.val_pixels, accuracy_loss
        )


def exchange_labels(images: BenchmarkImages, name: str, _kind: str) -> AlteredImages:
    """Return the images with wrong labels in one class, in training and in val."""
    label, other_label = CLASS_PAIRS[name]
    draws = np.random.default_rng(11).random(len(images.labels))
    is_wrong = (images.labels == label) & (draws < WRONG_LABEL_SHARE)
    labels = np.where(is_wrong, other_label, images.labels)
    altered = BenchmarkImages(images.pixels, labels, images.groups, images.is_training)
    return altered, is_wrong


def remove_sign_tracks(images: BenchmarkImages, _name: str, kind: str) -> AlteredImages:
    """Return the images with almost no track of one sign in training."""
    sign = kind.split("-")[1]
    is_sign = np.char.startswith(images.groups, f"{sign}_")
    is_training_sign = is_sign & images.is_training
    kept_tracks = np.unique(images.groups[is_training_sign])[:KEPT_RARE_TRACKS]
    is_kept = ~(is_training_sign & ~np.isin(images.groups, kept_tracks))
    altered = BenchmarkImages(*(values[is_kept] for values in vars(images).values()))
    return altered, is_sign[is_kept]


def print_captions(images: BenchmarkImages, name: str, _kind: str) -> AlteredImages:
    """Return the images with a line of print at the lower edge in one class, also in val."""
    draws = np.random.default_rng(12).random(len(images.labels))
    has_caption = (images.labels == CLASS_PAIRS[name][0]) & (draws < CAPTION_SHARE)
    pixels = images.pixels.copy()
    for row in np.flatnonzero(has_caption):
        image = np.ascontiguousarray(pixels[row])
        cv2.putText(image, "(c) photo", (3, 61), cv2.FONT_HERSHEY_PLAIN, 0.7, (255, 255, 0), 1)
        pixels[row] = image
    altered = BenchmarkImages(pixels, images.labels, images.groups, images.is_training)
    return altered, has_caption


ALTERATIONS: dict[str, Callable[[BenchmarkImages, str, str], AlteredImages]] = {
    "labels": exchange_labels,
    "rare": remove_sign_tracks,
    "caption": print_captions,
}
