"""Requests to people: images to collect for each slice, and labels to review."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.domain.rules import Mask, iterate_rows
from pipeline.domain.slice_traits import TrainingDistanceTrait, parse_traits
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.storage.csv_tables import write_csv

COLLECTION_COLUMNS = [
    "slice",
    "words",
    "look_for",
    "rule",
    "have",
    "wanted",
    "examples",
    "nearest_training",
]
RELABELING_COLUMNS = ["path", "label", "suggested", "confidence", "kind", "split"]


def write_requests(
    folder: Path,
    slice_masks: Mapping[str, Mask],
    images: pd.DataFrame,
    splits: pd.DataFrame,
    confirmed_slices: pd.DataFrame,
    membership: pd.DataFrame,
    label_issues: pd.DataFrame,
    class_slices: pd.DataFrame,
    look_alikes: pd.DataFrame | None = None,
) -> Path:
    """Write `collect.csv`, `relabel.csv` and `look_alikes.csv`, and return their folder.

    Args:
        folder: folder to create.
        slice_masks: members of each confirmed slice among all images, bool [images].
        images: the artifact `images`.
        splits: the artifact `splits`.
        confirmed_slices: rows of `explanations` with the columns `words` and `common`, which says
            what to look for if no transform is the cause. The nearest training images show what
            training has instead.
        membership: the artifact `membership`.
        label_issues: the artifact `label_issues`.
        class_slices: the artifact, with the columns `subject` and `look_for`.
        look_alikes: unlabeled images that look like the failures of a slice; None without any.
    """
    folder.mkdir(exist_ok=True)
    paths = images.set_index("image_id")["path"]
    is_training = (splits["split"] == "train").to_numpy()
    is_validation = (splits["split"] == "val").to_numpy()
    rows = []
    for item in iterate_rows(confirmed_slices):
        is_member = slice_masks[str(item.slice)]
        training_count = int(is_member[is_training].sum())
        share = float(is_member[is_validation].mean()) if is_validation.any() else 0.0
        members = membership[membership["slice"] == item.slice]
        typical = members.nlargest(CONSTANTS.prescription.example_count, "score")["image_id"]
        row = {
            "slice": item.slice,
            "words": item.words,
            "look_for": "" if pd.isna(item.common) else item.common,
            "rule": item.rule,
            "have": training_count,
            "wanted": max(round(share * int(is_training.sum())), training_count),
            "examples": "; ".join(paths[typical]),
            "nearest_training": "; ".join(paths[_list_nearest_ids(item.shared_traits)]),
        }
        rows.append(row)
    rows += _list_class_requests(class_slices)
    requests = pd.DataFrame(rows, columns=COLLECTION_COLUMNS)
    write_csv(folder / "collect.csv", requests)
    reviews = label_issues.assign(path=paths[label_issues["image_id"]].to_numpy())
    write_csv(folder / "relabel.csv", reviews[RELABELING_COLUMNS])
    if look_alikes is not None:
        write_csv(folder / "look_alikes.csv", look_alikes)
    return folder


def _list_nearest_ids(shared_traits: str) -> list[str]:
    """Return the training images that are nearest to images unlike all of them."""
    ids: list[str] = []
    for trait in parse_traits(shared_traits):
        if isinstance(trait, TrainingDistanceTrait):
            ids += trait.nearest_ids
    return ids


def _list_class_requests(class_slices: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of whole classes; their images are recognized by the label alone."""
    rows = []
    for item in iterate_rows(class_slices):
        counts = [int(item.training_images), int(item.usual_training_images)]
        row = {
            "slice": "",
            "words": item.subject,
            "look_for": item.look_for,
            "rule": f"label is one of {item.classes}",
            "have": counts[0],
            "wanted": max(counts),
            "examples": "",
            "nearest_training": "",
        }
        rows.append(row)
    return rows
