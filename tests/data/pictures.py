"""Small real images for the tests of adapters."""

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


def picture(seed: int = 0, width: int = 24, height: int = 16) -> Image.Image:
    """Noise on a slope: no two seeds alike."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0, 120, width)[None, :, None] + rng.integers(0, 100, (height, width, 3))
    return Image.fromarray(slope.astype(np.uint8))


def encoded(
    seed: int = 0, kind: str = "PNG", width: int = 24, height: int = 16, **options: Any
) -> bytes:
    file = io.BytesIO()
    picture(seed, width, height).save(file, kind, **options)
    return file.getvalue()


def lay(root: Path, *paths: str) -> Path:
    """A different image at each path."""
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(encoded(number, "JPEG" if path.endswith("jpg") else "PNG"))
    return root


def listed(root: Path, **options: Any) -> tuple[dict[str, ImageRecord], dict[str, str]]:
    """What `read` lists: images by path, and reasons by path; every image opens."""
    items = list(read_dataset(root, None, ReadOptions(**options)))
    images = {item.path: item for item in items if isinstance(item, ImageRecord)}
    rejected = {item.path: item.reason for item in items if isinstance(item, RejectedFile)}
    assert len(images) + len(rejected) == len(items), "a path is listed twice"
    for image in images.values():
        assert open_image(image.source).dtype == np.uint8
    return images, rejected


def labels(images: dict[str, ImageRecord]) -> dict[str, tuple[str | None, str | None]]:
    """Label and split by path."""
    return {path: (image.label, image.split) for path, image in images.items()}


FORMS = ("zip", "tar", "gztar")
"""What a data set may be packed in, as `shutil` names it."""


def packed(root: Path, form: str) -> Path:
    """`root` as an archive beside it, with all that is in it in one folder; the folder itself is removed."""
    archive = Path(shutil.make_archive(str(root), form, root.parent, root.name))
    shutil.rmtree(root)
    return archive
