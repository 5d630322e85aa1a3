"""Splits that follow from time or place instead of a hash: train on the past, or in other cities."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import pandas as pd

from pipeline.contracts import InputError
from pipeline.datasets.photo import nearest


def latest(images: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """The time of the last photo of each row's group; raises `InputError` where no photo has a time."""
    times = images.groupby("group")["captured_at"].transform("max")
    if times.isna().all():
        raise InputError("split.by: no photo has a capture time; name its column in ingest.time, or use split.by=hash")
    return times


def moments(images: pd.DataFrame, shares: Collection[float]) -> list[pd.Timestamp]:
    """The times after which these shares of the groups (by their last photo) lie."""
    groups = latest(images).groupby(images["group"]).first().dropna().sort_values()
    return [groups.iloc[min(len(groups) - 1, round(len(groups) * (1 - share)))] for share in shares]


def by_time(images: pd.DataFrame, val_from: pd.Timestamp, test_from: pd.Timestamp) -> pd.Series[str]:
    """train | val | test of each row by its group's last photo; left_out where no photo of the group has a time."""
    times = latest(images)
    part = np.select([times >= test_from, times >= val_from], ["test", "val"], "train")
    return pd.Series(part, images.index, dtype="str").mask(times.isna(), "left_out")


def by_site(
    images: pd.DataFrame, site: str, test: Collection[str], val: Collection[str], drawn: Callable[[str, bool], str]
) -> pd.Series[str]:
    """train | val | test of each row by the column `site`: the named sites are test and val.

    drawn(name, whole): what a hash of the name says: of each site where no site of test is named (whole), else train
    or val of each group outside it, where no site of val is named. Rows without a site are left_out. Raises
    `InputError` for an unknown column or site.
    """
    if site not in images:
        own = [column for column in images if column not in ("image_id", "content_hash", "source")]
        raise InputError(f"split.site: no column {site!r}; {nearest(site, [str(column) for column in own])}")
    sites = images[site].astype("str").fillna("")
    known = sorted(set(sites))
    unknown = sorted({*test, *val} - set(known))
    if unknown:
        raise InputError(f"split.test_sites, val_sites: no photo of {unknown[0]!r}; {nearest(unknown[0], known)}")
    if not test:
        part = sites.map({name: "val" if name in val else drawn(name, True) for name in known})
    elif val:
        part = sites.isin(val).map({True: "val", False: "train"})
    else:
        part = images["group"].map({name: drawn(name, False) for name in images["group"].unique()})
    return part.astype("str").mask(sites.isin(test), "test").mask(sites == "", "left_out")
