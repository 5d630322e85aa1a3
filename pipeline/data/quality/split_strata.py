"""A part of the groups that holds its share of every class, camera and time of day."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.group_source import INNER_GROUP_COLUMN

MAX_STRATUM_VALUES = 20
"""Distinct values up to which a metadata column divides the images: a camera, not a file name."""
HOURS_PER_STRATUM = 6
TIME_OF_DAY = "time of day"
"""Name of the division by hour."""
_KNOWN_COLUMNS = {
    "image_id",
    "content_hash",
    "path",
    "source",
    "group",
    "captured_at",
    "width",
    "height",
    "given_split",
    INNER_GROUP_COLUMN,
}


def list_strata(images: pd.DataFrame) -> pd.DataFrame:
    """Return the properties of each image that have few values: label, metadata, time of day.

    Args:
        images: the artifact of that name.

    Returns:
        One column for each, one row for each image.
    """
    strata = {}
    for column in images.columns.difference(list(_KNOWN_COLUMNS), sort=False):
        if 1 < images[column].nunique() <= MAX_STRATUM_VALUES:
            strata[str(column)] = images[column].astype("str")
    hours = pd.to_datetime(images["captured_at"]).dt.hour // HOURS_PER_STRATUM
    if hours.nunique() > 1:
        strata[TIME_OF_DAY] = hours.astype("str")
    return pd.DataFrame(strata, index=images.index)


def draw_stratified_part(
    strata: pd.DataFrame, units: NDArray[np.int64], positions: NDArray[np.float64], share: float
) -> NDArray[np.bool_]:
    """Return whether each image is drawn, bool [images]: whole units, by their permanent position.

    Units below the share are drawn, as without strata, so that they stay when images are added. A
    stratum that has got less than its share gets its next units.

    Args:
        strata: the stratum of each image, one column for each division.
        units: unit of each image, which stays whole, [images].
        positions: position of each image's unit in [0, 1), [images].
        share: share of the units to draw.
    """
    is_drawn = positions < share
    for column in strata:
        table = pd.DataFrame(
            {"stratum": strata[column].to_numpy(), "unit": units, "position": positions}
        ).drop_duplicates(["stratum", "unit"])
        for _, members in table.dropna().groupby("stratum", sort=True):
            ordered = members.sort_values("position")["unit"].to_numpy()
            drawn_units = set(units[is_drawn].tolist())
            wanted = round(share * len(ordered)) - sum(u in drawn_units for u in ordered.tolist())
            if wanted > 0:
                others = [unit for unit in ordered.tolist() if unit not in drawn_units]
                is_drawn = is_drawn | np.isin(units, others[:wanted])
    return is_drawn
