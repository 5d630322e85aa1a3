"""Sentences on inferred groups."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.domain.group_source import INFERRED_SOURCES, GroupSource

_SOURCE_PHRASES = {
    GroupSource.TIME: "camera and time",
    GroupSource.NAME: "the names of burst files",
    GroupSource.LOOK: "their looks",
}


def describe_inferred_groups(counts: Mapping[str, int]) -> list[str]:
    """Return sentences on the groups that were inferred, none if every group is given.

    Args:
        counts: see `count_inferred_groups`.
    """
    if counts["after"] == counts["before"]:
        if not counts[GroupSource.BYTES]:
            return []
        return [
            "no group is given and none was inferred: each image counts as one observation; if "
            "images belong together, name their column in ingest.group"
        ]
    parts = []
    for source in INFERRED_SOURCES:
        if counts[source]:
            parts.append(f"{counts[source]:,} images by {_SOURCE_PHRASES[source]}")
    return [
        f"groups were inferred, as none is given: {counts['before']:,} before, "
        f"{counts['after']:,} after ({', '.join(parts)}); a group counts as one observation; "
        "if it is wrong, name a column in ingest.group, or set ingest.infer_groups=false"
    ]


def describe_outer_groups(inner_count: int, outer_count: int) -> str:
    """Return what counts as one observation where groups have a second level.

    >>> describe_outer_groups(88, 14)
    '88 groups lie within 14 outer ones (ingest.outer_group); splits and intervals count those'
    """
    return (
        f"{inner_count:,} groups lie within {outer_count:,} outer ones (ingest.outer_group); "
        "splits and intervals count those"
    )
