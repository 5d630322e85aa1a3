"""Splits by time or by site instead of a hash: train on the past, or on other cities."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import pandas as pd

from pipeline.contracts import InputError
from pipeline.data.reading.image_record import suggest_name

_INTERNAL_COLUMNS = ("image_id", "content_hash", "source")
"""Columns of `images` that are no metadata of the data set."""


def get_group_times(images: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """Return the time of the last image of each row's group.

    Raises:
        InputError: no image has a capture time.
    """
    times = images.groupby("group")["captured_at"].transform("max")
    if times.isna().all():
        raise InputError(
            "split.strategy: no image has a capture time; name its column in ingest.time, or use "
            "split.strategy=hash"
        )
    return times


def compute_split_times(images: pd.DataFrame, shares: Collection[float]) -> list[pd.Timestamp]:
    """Return the time after which each share of the groups was captured, by their last image."""
    times = get_group_times(images).groupby(images["group"]).first().dropna().sort_values()
    last_index = len(times) - 1
    return [times.iloc[min(last_index, round(len(times) * (1 - share)))] for share in shares]


def assign_split_by_time(
    images: pd.DataFrame, val_start: pd.Timestamp, test_start: pd.Timestamp
) -> pd.Series[str]:
    """Return the split of each row by the time of its group's last image.

    Args:
        images: the artifact `images`.
        val_start: start of the validation set.
        test_start: start of the test set.

    Returns:
        train, val or test; left_out if no image of the group has a time.
    """
    times = get_group_times(images)
    splits = np.select([times >= test_start, times >= val_start], ["test", "val"], "train")
    return pd.Series(splits, images.index, dtype="str").mask(times.isna(), "left_out")


def assign_split_by_site(
    images: pd.DataFrame,
    site_column: str,
    test_sites: Collection[str],
    val_sites: Collection[str],
    draw_split: Callable[[str, bool], str],
) -> pd.Series[str]:
    """Return the split of each row by a column that names its site.

    Args:
        images: the artifact `images`.
        site_column: name of the column.
        test_sites: sites of the test set; if empty, the split of each other site is drawn.
        val_sites: sites of the validation set; if empty, the split of each group outside the test
            sites is drawn.
        draw_split: returns the split of a name by its hash. The second argument is True
            if the name may be test; otherwise the split is train or val.

    Returns:
        train, val or test; left_out for rows without a site.

    Raises:
        InputError: there is no such column or site.
    """
    if site_column not in images:
        columns = [str(name) for name in images if name not in _INTERNAL_COLUMNS]
        raise InputError(
            f"split.site_column: no column {site_column!r}; {suggest_name(site_column, columns)}"
        )
    sites = images[site_column].astype("str").fillna("")
    known_sites = sorted(set(sites))
    unknown = sorted({*test_sites, *val_sites} - set(known_sites))
    if unknown:
        raise InputError(
            f"split.test_sites, val_sites: no image of {unknown[0]!r}; "
            f"{suggest_name(unknown[0], known_sites)}"
        )
    if not test_sites:
        drawn = {site: draw_split(site, True) for site in known_sites}
        splits = sites.map(drawn | dict.fromkeys(val_sites, "val"))
    elif val_sites:
        splits = sites.isin(val_sites).map({True: "val", False: "train"})
    else:
        drawn = {group: draw_split(group, False) for group in images["group"].unique()}
        splits = images["group"].map(drawn)
    splits = splits.astype("str").mask(sites.isin(test_sites), "test")
    return splits.mask(sites == "", "left_out")
