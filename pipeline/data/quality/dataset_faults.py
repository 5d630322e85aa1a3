"""Faults that make a data set useless for training or for judging, as counts with examples."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.data.reading.file_tree import FileTree
from pipeline.data.recognition.read_plan import ReadPlan
from pipeline.data.tables.listing_tables import is_submission, survey_tables
from pipeline.data.tables.manifest_plan import plan_manifest

MIN_SPLIT_IMAGES = 20
"""Images of a split from which its shares of dark or blurred images are compared."""
MIN_FOLDER_IMAGES = 2
"""Images of a folder from which one label for all of them says something."""
LISTED_SHARE = 0.05
"""Share of the images that an unused table lists; fewer are examples, such as one of each class."""
_LOOK_SIDE, _LOOK_LEVELS = 4, 8
"""Equal looks: 4 x 4 gray averages in steps of 32 levels."""


def find_untrained_classes(table: pd.DataFrame) -> dict[str, int]:
    """Return the images of each class that is in val or test and never in train.

    Args:
        table: `label` and `split` of each image, None if unknown.
    """
    known = table.dropna(subset=["label", "split"])
    trained = set(known.loc[known["split"] == "train", "label"])
    others = known[(known["split"] != "train") & ~known["label"].isin(trained)]
    return {str(name): int(count) for name, count in others["label"].value_counts().items()}


def find_unjudged_classes(table: pd.DataFrame) -> dict[str, int]:
    """Return the images of each class that is in train and in no other split that has labels."""
    known = table.dropna(subset=["label", "split"])
    judged = set(known.loc[known["split"] != "train", "label"])
    alone = known[(known["split"] == "train") & ~known["label"].isin(judged)]
    return {str(name): int(count) for name, count in alone["label"].value_counts().items()}


def find_split_difference(light: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """Return the mark (dark, bright, blurred) whose share differs most between train and a split.

    The result has mark, split, train (share), other (share) and value, or is empty.

    Args:
        light: shares as `pipeline.data.quality.dataset_health` summarizes them.
        sizes: images by split.
    """
    shares = {s: row for s, row in light["split"].items() if sizes.get(s, 0) >= MIN_SPLIT_IMAGES}
    train = shares.pop("train", None)
    best: dict[str, Any] = {}
    for split, row in shares.items():
        for mark, share in row.items() if train else ():
            value = abs(share - train[mark])
            if value > best.get("value", 0.0):
                best = {"mark": mark, "split": split, "train": train[mark], "other": share}
                best["value"] = round(value, 4)
    return best


def compute_equal_share(pixels: NDArray[np.uint8]) -> float:
    """Return the share of images in the largest set of equal looks.

    Args:
        pixels: uint8 [images, side, side, 3].
    """
    if not len(pixels):
        return 0.0
    looks = [
        cv2.resize(np.asarray(image), (_LOOK_SIDE, _LOOK_SIDE), interpolation=cv2.INTER_AREA)
        .mean(axis=2)
        .astype(np.uint8)
        .ravel()
        // (256 // _LOOK_LEVELS)
        for image in pixels
    ]
    counts = np.unique(np.stack(looks), axis=0, return_counts=True)[1]
    return float(counts.max() / len(pixels))


def find_label_folders(table: pd.DataFrame, plan: ReadPlan) -> list[str]:
    """Return the folders that hold one label each where these are more than the classes.

    The images of such a folder belong together: a patient, a site, a burst. The result is empty if
    folders give the label, or if groups are known.

    Args:
        table: path, label and group of each image.
        plan: how the data set is read.
    """
    labeled = table.dropna(subset=["label"])
    if plan.adapter == "folder" or plan.group_column or labeled["group"].notna().any():
        return []
    folders = labeled["path"].map(posixpath.dirname)
    counts = labeled.groupby(folders)["label"].agg(["size", "nunique"])
    counts = counts[counts["size"] >= MIN_FOLDER_IMAGES]
    is_constant = bool(len(counts)) and bool((counts["nunique"] == 1).all())
    is_finer = len(counts) > labeled["label"].nunique() > 1
    return [str(name) for name in counts.index] if is_constant and is_finer else []


def find_unused_tables(root: Path, plan: ReadPlan) -> list[str]:
    """Return the tables that label images of the data set and are not read."""
    tree = FileTree(root, plan.options.should_follow_links)
    if tree.root_kind not in ("folder", "zip", "tar"):
        return []
    listing = survey_tables(tree, plan.options).listing
    used: set[str] = set()
    if plan.adapter == "manifest":
        manifest = plan_manifest(tree, plan.options)
        if manifest is not None:
            used = {table.name for table in (*manifest.tables, *manifest.side_tables)}
    elif plan.adapter == "folder":  # its columns and splits are added to the images
        used = {table.name for table in listing}
    image_count = len(tree.index_images().images)
    names = []
    for table in listing:
        is_unused = table.name not in used and not is_submission(table.name)
        is_large = len(table.rows_by_image) >= max(1, LISTED_SHARE * image_count)
        if is_unused and table.has_labels and is_large:
            names.append(table.name)
    return names
