"""Small images and data sets for the tests of reading and of adapters."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.data.dataset_reader import read_dataset
from pipeline.data.reading.image_record import ImageRecord, ReadOptions, RejectedFile
from pipeline.data.reading.image_sources import open_image


def draw_image(seed: int = 0, width: int = 24, height: int = 16) -> Image.Image:
    """Return noise on a horizontal gradient; each seed gives another image."""
    rng = np.random.default_rng(seed)
    gradient = np.linspace(0, 120, width)[None, :, None] + rng.integers(0, 100, (height, width, 3))
    return Image.fromarray(gradient.astype(np.uint8))


def encode_image(
    seed: int = 0, kind: str = "PNG", width: int = 24, height: int = 16, **options: Any
) -> bytes:
    """Return the image of `draw_image` in a format of Pillow."""
    file = io.BytesIO()
    draw_image(seed, width, height).save(file, kind, **options)
    return file.getvalue()


def write_images(root: Path, *paths: str) -> Path:
    """Write a different image to each path below `root`; return `root`."""
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        kind = "JPEG" if path.endswith("jpg") else "PNG"
        (root / path).write_bytes(encode_image(number, kind))
    return root


def list_dataset(root: Path, **options: Any) -> tuple[dict[str, ImageRecord], dict[str, str]]:
    """Return images and reasons of rejected files, by path, and check that every image opens."""
    items = list(read_dataset(root, None, ReadOptions(**options)))
    images = {item.path: item for item in items if isinstance(item, ImageRecord)}
    rejected = {item.path: item.reason for item in items if isinstance(item, RejectedFile)}
    assert len(images) + len(rejected) == len(items), "a path is listed twice"
    for image in images.values():
        assert open_image(image.source).dtype == np.uint8
    return images, rejected


def get_labels(images: dict[str, ImageRecord]) -> dict[str, tuple[str | None, str | None]]:
    """Return label and split by path."""
    return {path: (image.label, image.split) for path, image in images.items()}


ARCHIVE_FORMATS = ("zip", "tar", "gztar")
"""Archive formats of `shutil` that a data set may be packed in."""


def pack_folder(root: Path, form: str) -> Path:
    """Replace a folder by an archive beside it that holds the folder; return the archive."""
    archive = Path(shutil.make_archive(str(root), form, root.parent, root.name))
    shutil.rmtree(root)
    return archive
