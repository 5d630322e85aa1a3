"""Splits that follow from time or place instead of a hash: train on the past, or in other cities."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import pandas as pd

from pipeline.contracts import InputError
from pipeline.data.reading.image_record import suggest_name


def get_group_times(images: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """The time of the last image of each row's group; raises `InputError` where no image has a time."""
    times = images.groupby("group")["captured_at"].transform("max")
    if times.isna().all():
        raise InputError(
            "split.strategy: no image has a capture time; name its column in ingest.time, or use split.strategy=hash"
        )
    return times


def compute_split_times(images: pd.DataFrame, shares: Collection[float]) -> list[pd.Timestamp]:
    """The times after which these shares of the groups (by their last image) lie."""
    groups = get_group_times(images).groupby(images["group"]).first().dropna().sort_values()
    return [groups.iloc[min(len(groups) - 1, round(len(groups) * (1 - share)))] for share in shares]


def assign_split_by_time(
    images: pd.DataFrame, val_start: pd.Timestamp, test_start: pd.Timestamp
) -> pd.Series[str]:
    """train | val | test of each row by its group's last image; left_out where no image of the group has a time."""
    times = get_group_times(images)
    part = np.select([times >= test_start, times >= val_start], ["test", "val"], "train")
    return pd.Series(part, images.index, dtype="str").mask(times.isna(), "left_out")


def assign_split_by_site(
    images: pd.DataFrame,
    site_column: str,
    test_sites: Collection[str],
    val_sites: Collection[str],
    draw_split: Callable[[str, bool], str],
) -> pd.Series[str]:
    """train | val | test of each row by the column `site`: the named sites are test and val.

    drawn(name, whole): what a hash of the name says: of each site where no site of test is named (whole), else train
    or val of each group outside it, where no site of val is named. Rows without a site are left_out. Raises
    `InputError` for an unknown column or site.
    """
    if site_column not in images:
        own = [column for column in images if column not in ("image_id", "content_hash", "source")]
        raise InputError(
            f"split.site_column: no column {site_column!r}; {suggest_name(site_column, [str(column) for column in own])}"
        )
    sites = images[site_column].astype("str").fillna("")
    known = sorted(set(sites))
    unknown = sorted({*test_sites, *val_sites} - set(known))
    if unknown:
        raise InputError(
            f"split.test_sites, val_sites: no image of {unknown[0]!r}; {suggest_name(unknown[0], known)}"
        )
    if not test_sites:
        part = sites.map(
            {name: "val" if name in val_sites else draw_split(name, True) for name in known}
        )
    elif val_sites:
        part = sites.isin(val_sites).map({True: "val", False: "train"})
    else:
        part = images["group"].map(
            {name: draw_split(name, False) for name in images["group"].unique()}
        )
    return part.astype("str").mask(sites.isin(test_sites), "test").mask(sites == "", "left_out")
