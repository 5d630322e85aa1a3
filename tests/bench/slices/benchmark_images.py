"""The real images of the benchmark: the lit part of GTSRB, its classes merged, and the flowers."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.reading.image_decoding import ImageError, letterbox_image
from pipeline.data.reading.image_sources import open_image

SIDE = 64
LIT = 70  # mean luminance
FRAMES = 8  # of each track of GTSRB
TRAINING = {
    "gtsrb": 0.3,
    "flowers": 0.45,
}  # share of the groups; tracks are few, and a half of val must hold enough
_KINDS = {
    "speed limit": {0, 1, 2, 3, 4, 5, 7, 8},
    "prohibition": {9, 10, 15, 16, 17},
    "end of restriction": {6, 32, 41, 42},
    "mandatory": set(range(33, 41)),
    "danger": {11, *range(18, 32)},
    "priority": {12, 13, 14},
}
MERGED = {f"{number:02d}": kind for kind, numbers in _KINDS.items() for number in numbers}


@dataclass(frozen=True)
class Images:
    """pixels: uint8 [N, 64, 64, 3]; labels: class names [N]; groups [N]; train: bool [N]."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    train: NDArray[np.bool_]

    @property
    def names(self) -> list[str]:
        """Class names, sorted."""
        return sorted(set(self.labels.tolist()))


def _luminance(pixels: NDArray[np.uint8]) -> float:
    return float(pixels.astype(np.float32).mean((0, 1)) @ np.array([0.299, 0.587, 0.114]))


def _read(listed: list[tuple[Path, str, str]], least: float, training: float) -> Images:
    pixels, labels, groups = [], [], []
    for path, label, group in listed:
        try:
            image = letterbox_image(open_image(path, SIDE), SIDE)
        except ImageError:
            continue
        if _luminance(image) >= least:
            pixels.append(image)
            labels.append(label)
            groups.append(group)
    names = sorted(set(groups))
    chosen = set(np.random.default_rng(0).permutation(names)[: int(training * len(names))].tolist())
    return Images(
        np.stack(pixels),
        np.array(labels),
        np.array(groups),
        np.array([g in chosen for g in groups]),
    )


def gtsrb(root: Path) -> Images:
    """Up to `FRAMES` evenly spaced lit frames of each track, six merged classes, grouped by track."""
    tracks: dict[str, list[tuple[Path, str, str]]] = {}
    with (root / "metadata.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            tracks.setdefault(row["track"], []).append(
                (root / row["file_name"], MERGED[row["label"]], row["track"])
            )
    step = 30 / FRAMES
    listed = [
        track[int(k * step)]
        for track in tracks.values()
        for k in range(FRAMES)
        if int(k * step) < len(track)
    ]
    return _read(listed, LIT, TRAINING["gtsrb"])


def flowers(root: Path) -> Images:
    """Every image, each a group of its own, exact copies together."""
    listed, seen = [], dict[bytes, str]()
    for path in sorted(root.glob("*/*.jpg")):
        group = seen.setdefault(path.read_bytes(), f"{path.parent.name}/{path.stem}")
        listed.append((path, path.parent.name, group))
    return _read(listed, 0, TRAINING["flowers"])


READ = {"gtsrb": gtsrb, "flowers": flowers}
