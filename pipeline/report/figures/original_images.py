"""Originals of images that are too small to judge as kept by the run."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.data.reading.image_decoding import ImageError, letterbox_image
from pipeline.data.reading.image_sources import get_local_path, open_image

Pixels = NDArray[np.uint8]
LARGE_SIDE = 240  # pixels, at which a person can judge a badge or a face
MAX_LOOK_DIFFERENCE = 8.0
"""Mean difference of gray levels from which the file is another image than the run has read.
Decoding at another scale changes the values by up to 3."""


def list_original_sources(images: pd.DataFrame, kept_side: int) -> dict[str, str]:
    """Return the local sources of images that are larger than the run keeps them, by image id.

    Args:
        images: the artifact of that name.
        kept_side: side of the copies that the run keeps, in pixels.
    """
    if kept_side >= LARGE_SIDE or "source" not in images:
        return {}
    larger = images[images[["width", "height"]].max(axis=1) > kept_side]
    sources = zip(larger["image_id"], larger["source"], strict=True)
    return {str(image_id): str(source) for image_id, source in sources}


def load_original(source: str, kept_copy: Pixels) -> Pixels | None:
    """Return an original as uint8 [side, side, 3] with the sides of `LARGE_SIDE`.

    Args:
        source: its source.
        kept_copy: the copy that the run keeps, uint8 [kept side, kept side, 3].

    Returns:
        None if it is not on this machine, cannot be read, or is another image by now.
    """
    if get_local_path(source) is None:
        return None
    try:
        large = letterbox_image(open_image(source, LARGE_SIDE), LARGE_SIDE)
    except (ImageError, OSError):
        return None
    side = kept_copy.shape[0]
    small = cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA)
    difference = np.abs(small.astype(np.int16) - kept_copy).mean()
    return large if difference <= MAX_LOOK_DIFFERENCE else None


def order_enlarged_images(ranked_ids: Iterable[str], failing_ids: Iterable[str]) -> list[str]:
    """Return the ids of failing images, the most informative first.

    Args:
        ranked_ids: ids of all images of the page, the most informative first.
        failing_ids: ids of images that are misclassified before or after.
    """
    failing = set(failing_ids)
    return [image_id for image_id in ranked_ids if image_id in failing]
