"""Lines on what to collect next."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.sentences.comparison_sentences import MANY_TIMES
from pipeline.report.sentences.number_format import format_count

_SPLIT_NAMES = {"val": "validation", "test": "the test set"}


def describe_needed_groups(power_rows: Sequence[Mapping[str, Any]]) -> str:
    """Return how many more groups would decide the tests of a slice.

    Args:
        power_rows: rows of `power` in the artifact `comparison` that are about the slice.

    >>> describe_needed_groups([{"split": "val", "groups": 20, "groups_needed": 31}])
    'about 11 more groups for validation (20 at hand)'
    """
    parts = []
    for row in power_rows:
        groups, needed = row["groups"], row["groups_needed"]
        if needed and groups < needed <= MANY_TIMES * max(groups, 1):
            more = format_count(needed - groups, "more group")
            parts.append(f"about {more} for {_SPLIT_NAMES[row['split']]} ({groups} at hand)")
    return ", ".join(parts) or "more images like these, in training above all"


def describe_collected_images(noun: str, counts: Sequence[tuple[str, int, int]]) -> str:
    """Return the images and groups of each value of a column.

    Args:
        noun: what the values are, such as "class".
        counts: value, images and groups.

    >>> describe_collected_images("class", [("badge", 30, 12), ("no_badge", 1, 1)])
    'by class: badge 30 images of 12 groups, no_badge 1 image of 1 group'
    """
    parts = []
    for value, images, groups in counts:
        parts.append(f"{value} {format_count(images, 'image')} of {format_count(groups, 'group')}")
    return f"by {noun}: {', '.join(parts)}"


def describe_collection_command(config: str, is_split_given: bool = False) -> str:
    """Return how new images are taken in.

    Args:
        config: the run's config as YAML text.
        is_split_given: whether the data names the split of its images.
    """
    match = re.search(r"^name: *(\S+)", config, re.MULTILINE)
    name = match.group(1) if match else "CONFIG"
    split = ", name their split as for the others" if is_split_given else ""
    return (
        f"Put them into the data folder (ingest.data){split}, then: nightshift run -c {name}.yaml"
    )
