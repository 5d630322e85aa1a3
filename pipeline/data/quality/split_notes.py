"""Notes on a split: its sizes, leaks, duplicates, and the effects that it can show."""

from __future__ import annotations

import pandas as pd

from pipeline.data.quality.group_splits import SPLIT_NAMES
from pipeline.statistics.permutation_tests import DEFAULT_TEST_LIMITS
from pipeline.statistics.test_power import compute_detectable_excess

MANY_LEAKS_DIVISOR = 4
"""More than one leak in four images points to wrong groups rather than to a few copies."""
MANY_TIES_DIVISOR = 5
"""More than one tied group in five is noted: looks may tie groups that show different things."""
SLICE_GROUPS_DIVISOR = 5
"""The notes on power assume a slice that holds one group in five."""
LISTED_CLASSES = 5
"""Absent classes that one note lists by name; data sets may have hundreds."""

_ABSENT_CLASS_EFFECTS = {
    "train": "the model cannot learn it",
    "val": "no failure of it can be found",
    "test": "it is not judged",
}


def describe_leaks(
    splits: pd.Series[str], leaked_count: int, *, is_by_hash: bool = True
) -> list[str]:
    """Return notes on the images of val and test that are left out.

    Args:
        splits: split of each image, with leaks left out.
        leaked_count: number of such images.
        is_by_hash: whether the split follows from the hash of the group, so that other groups
            would help.
    """
    if not leaked_count:
        return []
    notes = [
        f"{leaked_count} images of val and test are left out: "
        "the same image or group is in another split"
    ]
    rest = int(splits.isin(["val", "test"]).sum())
    if is_by_hash and leaked_count * MANY_LEAKS_DIVISOR > rest:
        notes.append(
            "that is much: name what belongs together in ingest.group, "
            "or set split.join_duplicate_groups=true"
        )
    return notes


def describe_split_sizes(
    images: pd.DataFrame, splits: pd.Series[str], class_names: list[str]
) -> list[str]:
    """Return notes on the size of each split, and on the classes that are absent from it.

    Args:
        images: `group` and `label` of each image.
        splits: split of each image.
        class_names: all classes.
    """
    sizes = []
    for name in (*SPLIT_NAMES, "left_out"):
        groups = images.loc[splits == name, "group"]
        if len(groups):
            title = name.replace("_", " ")
            sizes.append(f"{title} {len(groups)} images in {groups.nunique()} groups")
    notes = ["; ".join(sizes)]
    for name in SPLIT_NAMES:
        absent = sorted(set(class_names) - set(images.loc[splits == name, "label"]))
        if absent:
            listed = ", ".join(absent[:LISTED_CLASSES])
            if len(absent) > LISTED_CLASSES:
                listed += f" and {len(absent) - LISTED_CLASSES} more"
            notes.append(f"no image of class {listed} is in {name}: {_ABSENT_CLASS_EFFECTS[name]}")
    return notes


def describe_duplicates(duplicates: pd.DataFrame) -> list[str]:
    """Return a note that counts the pairs of `duplicates`, or none if there are none."""
    if duplicates.empty:
        return []
    exact = int((duplicates["kind"] == "exact").sum())
    near = len(duplicates) - exact
    differing = int((~duplicates["same_label"]).sum())
    across = int(duplicates["across_splits"].sum())
    spread = f"{across} lie across splits" if across else "each pair stays in one split"
    return [
        f"{exact} exact and {near} near-duplicate pairs, {differing} of them under two labels; "
        f"{spread}"
    ]


def describe_tied_groups(group_count: int, component_count: int) -> list[str]:
    """Return a note if duplicates tie many groups together."""
    tied = group_count - component_count
    if tied <= group_count // MANY_TIES_DIVISOR:
        return []
    return [
        f"duplicates tie {tied} of {group_count} groups to others; "
        "if wrongly, lower split.near_duplicates"
    ]


def describe_power(images: pd.DataFrame, splits: pd.Series[str]) -> list[str]:
    """Return notes on the smallest effects that val and test can show."""
    min_groups = DEFAULT_TEST_LIMITS.min_groups
    notes = []
    for name in ("val", "test"):
        groups = int(images.loc[splits == name, "group"].nunique())
        inside = groups // SLICE_GROUPS_DIVISOR
        effect = compute_detectable_excess(inside, groups - inside)
        hint = f"; a slice needs {min_groups} groups to be tested" if inside < min_groups else ""
        notes.append(
            f"power: {name} has {groups} groups; of a slice with a fifth of them, an excess error "
            f"or a gain of {effect:.0%} is found with 80 % power{hint}"
        )
    return notes
