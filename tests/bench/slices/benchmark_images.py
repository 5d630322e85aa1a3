"""The real images of the benchmark: the lit part of GTSRB with merged classes, and the flowers."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.reading.image_decoding import ImageError, letterbox_image
from pipeline.data.reading.image_sources import open_image

SIDE = 64
MIN_LUMINANCE = 70  # mean luminance of a lit image
TRACK_FRAMES = 30  # frames of each track of GTSRB
USED_FRAMES = 8  # of these
# Share of the groups that trains. Tracks are few, and half of val must hold enough of them.
TRAINING_SHARE = {"gtsrb": 0.3, "flowers": 0.45}
_SIGN_KINDS = {
    "speed limit": {0, 1, 2, 3, 4, 5, 7, 8},
    "prohibition": {9, 10, 15, 16, 17},
    "end of restriction": {6, 32, 41, 42},
    "mandatory": set(range(33, 41)),
    "danger": {11, *range(18, 32)},
    "priority": {12, 13, 14},
}
MERGED_LABELS = {f"{sign:02d}": kind for kind, signs in _SIGN_KINDS.items() for sign in signs}
ListedImage = tuple[Path, str, str]
"""Path, label and group."""


@dataclass(frozen=True)
class BenchmarkImages:
    """Decoded images.

    Attributes:
        pixels: uint8 [images, 64, 64, 3].
        labels: class name of each image.
        groups: group of each image.
        is_training: bool [images]; the others are val.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    is_training: NDArray[np.bool_]

    @property
    def class_names(self) -> list[str]:
        """Return the class names, sorted."""
        return sorted(set(self.labels.tolist()))


def _compute_luminance(pixels: NDArray[np.uint8]) -> float:
    return float(pixels.astype(np.float32).mean((0, 1)) @ np.array([0.299, 0.587, 0.114]))


def _read_images(
    listed: list[ListedImage], min_luminance: float, training_share: float
) -> BenchmarkImages:
    pixels, labels, groups = [], [], []
    for path, label, group in listed:
        try:
            image = letterbox_image(open_image(path, SIDE), SIDE)
        except ImageError:
            continue
        if _compute_luminance(image) >= min_luminance:
            pixels.append(image)
            labels.append(label)
            groups.append(group)
    names = sorted(set(groups))
    training_count = int(training_share * len(names))
    training_groups = np.random.default_rng(0).permutation(names)[:training_count]
    is_training = np.isin(np.array(groups), training_groups)
    return BenchmarkImages(np.stack(pixels), np.array(labels), np.array(groups), is_training)


def _list_tracks(root: Path) -> dict[str, list[ListedImage]]:
    tracks: dict[str, list[ListedImage]] = {}
    with (root / "metadata.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            image = (root / row["file_name"], MERGED_LABELS[row["label"]], row["track"])
            tracks.setdefault(row["track"], []).append(image)
    return tracks


def _thin_track(track: list[ListedImage]) -> Iterator[ListedImage]:
    for number in range(USED_FRAMES):
        frame = int(number * TRACK_FRAMES / USED_FRAMES)
        if frame < len(track):
            yield track[frame]


def read_gtsrb(root: Path) -> BenchmarkImages:
    """Return evenly spaced lit frames of each track, with six merged classes, grouped by track."""
    listed: list[ListedImage] = []
    for track in _list_tracks(root).values():
        listed.extend(_thin_track(track))
    return _read_images(listed, MIN_LUMINANCE, TRAINING_SHARE["gtsrb"])


def read_flowers(root: Path) -> BenchmarkImages:
    """Return every image; each is a group, and exact copies share one."""
    listed: list[ListedImage] = []
    group_by_content: dict[bytes, str] = {}
    for path in sorted(root.glob("*/*.jpg")):
        name = f"{path.parent.name}/{path.stem}"
        group = group_by_content.setdefault(path.read_bytes(), name)
        listed.append((path, path.parent.name, group))
    return _read_images(listed, 0, TRAINING_SHARE["flowers"])


READERS = {"gtsrb": read_gtsrb, "flowers": read_flowers}
