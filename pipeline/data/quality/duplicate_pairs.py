"""Pairs of images with equal bytes or equal looks, over a whole data set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import ProgressTracker
from pipeline.data.quality.group_splits import find_group_components
from pipeline.data.quality.near_duplicates import find_exact_duplicates, find_near_duplicates


def find_duplicate_pairs(
    images: pd.DataFrame,
    pixels: NDArray[np.uint8],
    max_distance: int,
    track_progress: ProgressTracker,
    add_note: Callable[[str], None],
) -> pd.DataFrame:
    """Return exact and near-duplicate pairs: columns one, other (rows), distance (bits) and kind.

    Args:
        images: `content_hash`, `label` and `group` of each image.
        pixels: uint8 [images, side, side, 3].
        max_distance: differing bits of 64 that near-duplicates may have; below 0 none are
            searched.
        track_progress: wraps the loop over blocks of images.
        add_note: called with a line if the search is not complete.
    """
    labels = images["label"].astype("str")
    exact = find_exact_duplicates(images["content_hash"], labels).assign(kind="exact")
    if max_distance < 0:
        return exact
    # groups with equal bytes are one already: a copy of a copy is not listed again
    components = find_group_components(images, exact)
    near = find_near_duplicates(
        pixels,
        components,
        max_distance,
        lambda blocks, total: track_progress(blocks, total=total, unit="blocks"),
    )
    if not near.attrs["is_complete"]:
        add_note(
            "so many images look alike that the search for near-duplicates was ended; "
            "some are not tied"
        )
    return pd.concat([exact, near.assign(kind="near")], ignore_index=True)
