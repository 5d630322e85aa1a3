"""A second level of groups: visits within a night, frames within a patient."""

from __future__ import annotations

import pandas as pd

from pipeline.contracts import InputError
from pipeline.data.reading.image_record import suggest_name
from pipeline.domain.group_source import INNER_GROUP_COLUMN, GroupSource


def nest_groups(images: pd.DataFrame, outer_column: str) -> pd.DataFrame:
    """Return `images` whose `group` is the outer one; the former one is in `inner_group`.

    Splits, tests and intervals count the groups of `group`. Those of the outer level hold whatever
    groups of the inner level share, such as the weather of a night. An image without an outer value
    keeps its group. An inferred group with images in several is cut.

    Args:
        images: the artifact of that name.
        outer_column: column of `images` that holds the outer group.

    Raises:
        InputError: there is no such column, or a given group has images in several outer ones.
    """
    if outer_column not in images:
        hint = suggest_name(outer_column, [str(name) for name in images.columns])
        raise InputError(f"ingest.outer_group: the data set has no column {outer_column!r}; {hint}")
    outer = images[outer_column]
    has_outer = outer.notna() & (outer.astype("str") != "")
    names = (f"{outer_column} " + outer.astype("str")).where(has_outer, images["group"])
    is_given = (images["group_source"] == GroupSource.GIVEN).to_numpy()
    counts = names[is_given].groupby(images.loc[is_given, "group"]).nunique()
    if (counts > 1).any():
        group = str(counts.index[counts > 1][0])
        found = outer[images["group"] == group].astype("str").fillna("none").unique()
        raise InputError(
            f"ingest.outer_group: group {group!r} lies in {len(found)} values of "
            f"{outer_column!r} ({', '.join(sorted(found)[:3])}); a group must lie within one: name "
            "another column, or another ingest.group"
        )
    inner = images["group"]
    is_cut = names.groupby(inner).transform("nunique") > 1
    inner = inner.where(~is_cut, inner + " in " + names)
    return images.assign(**{"group": names.astype("str"), INNER_GROUP_COLUMN: inner.astype("str")})
