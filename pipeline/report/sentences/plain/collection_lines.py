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


def describe_look_alikes(look_alikes: Mapping[str, Any] | None, slice_name: str) -> str:
    """Return how many unlabeled images look like the failures of a slice; empty without a search.

    Args:
        look_alikes: `look_alikes` of the artifact `policy`.
        slice_name: the slice.

    >>> describe_look_alikes({"listed": {"s1": 40}}, "s1")
    '40 unlabeled images look like its failures: label those of exports/look_alikes.csv first'
    """
    listed = (look_alikes or {}).get("listed", {})
    if slice_name not in listed:
        return ""
    if not listed[slice_name]:
        return "no unlabeled image looks like its failures"
    found = format_count(listed[slice_name], "unlabeled image")
    verb = "looks" if listed[slice_name] == 1 else "look"
    return f"{found} {verb} like its failures: label those of exports/look_alikes.csv first"


def describe_unlabeled_images(look_alikes: Mapping[str, Any] | None) -> str:
    """Return which unlabeled images were searched; empty without a search.

    Args:
        look_alikes: `look_alikes` of the artifact `policy`.

    >>> describe_unlabeled_images({"folder": "new", "images": 90, "known": 0, "rejected": 1})
    '90 unlabeled images of new were compared with the failures (1 unreadable).'
    """
    if not look_alikes:
        return ""
    left_out = []
    if look_alikes["known"]:
        left_out.append(f"{look_alikes['known']:,} already in the data set")
    if look_alikes["rejected"]:
        left_out.append(f"{look_alikes['rejected']:,} unreadable")
    found = format_count(look_alikes["images"], "unlabeled image")
    extra = f" ({', '.join(left_out)})" if left_out else ""
    return f"{found} of {look_alikes['folder']} were compared with the failures{extra}."


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
