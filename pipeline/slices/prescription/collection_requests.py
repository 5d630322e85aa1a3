"""Requests to people: images to collect for each slice, and labels to review."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.domain.rules import Mask, iterate_rows
from pipeline.remedies import describe_strength_range
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.storage.csv_tables import write_csv

COLLECTION_COLUMNS = ["slice", "words", "rule", "have", "wanted", "examples"]
RELABELING_COLUMNS = ["path", "label", "suggested", "confidence", "kind", "split"]


def write_requests(
    folder: Path,
    slice_masks: Mapping[str, Mask],
    images: pd.DataFrame,
    splits: pd.DataFrame,
    confirmed_slices: pd.DataFrame,
    membership: pd.DataFrame,
    label_issues: pd.DataFrame,
) -> Path:
    """Write `collect.csv` and `relabel.csv`, and return their folder.

    Args:
        folder: folder to create.
        slice_masks: members of each confirmed slice among all images, bool [images].
        images: the artifact `images`.
        splits: the artifact `splits`.
        confirmed_slices: rows of `explanations` with the column `words`.
        membership: the artifact `membership`.
        label_issues: the artifact `label_issues`.
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
            "rule": item.rule,
            "have": training_count,
            "wanted": max(round(share * int(is_training.sum())), training_count),
            "examples": "; ".join(paths[typical]),
        }
        rows.append(row)
    requests = pd.DataFrame(rows, columns=COLLECTION_COLUMNS)
    write_csv(folder / "collect.csv", requests)
    reviews = label_issues.assign(path=paths[label_issues["image_id"]].to_numpy())
    write_csv(folder / "relabel.csv", reviews[RELABELING_COLUMNS])
    return folder


def describe_prescription(
    explanation: Any, plan: pd.DataFrame, correction: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the prescription of one slice.

    Args:
        explanation: row of `explanations` with `words` and the columns `FIT_COLUMNS`.
        plan: the slice's rows of the plan, with any index.
        correction: the correction at prediction time that was considered, if any.

    Returns:
        `slice`, `kind` (augment, oversample, reweight or collect), `words`, `action` in words, and
        `images`, the number of training images that the plan concerns.
    """
    image_count = plan["image_id"].nunique() if len(plan) else 0
    if not image_count:
        kind = "collect"
        action = "collect more images like these: no transform was shown to be the cause"
    elif pd.isna(explanation.cause):
        kind, action = _describe_repeats(plan, image_count)
    else:
        kind, action = "augment", _describe_training(explanation, plan)
    if correction and correction["helps"]:
        action += f"; or correct them as they arrive: {correction['words']}"
    return {
        "slice": explanation.slice,
        "kind": kind,
        "words": explanation.words,
        "action": action,
        "images": image_count,
    }


def _describe_repeats(plan: pd.DataFrame, image_count: int) -> tuple[str, str]:
    """Return kind and action of a plan that repeats or reweights images of the slice."""
    times = plan["strength_low"].iloc[0]
    if plan["remedy"].iloc[0] == "reweighting":
        return "reweight", (
            f"weigh {image_count:,} training images without the mark {times:.0f} times as much, "
            "so that they count like those with it; where nothing else is trained, the last layer "
            "alone learns"
        )
    return "oversample", (
        f"show {image_count:,} training images like these {times:.0f} times as often, and collect "
        "more: no transform was shown to be the cause"
    )


def _describe_training(explanation: Any, plan: pd.DataFrame) -> str:
    """Return the action of a plan that treats training images."""
    action = f"train on {_describe_treatment(plan)}"
    if np.isfinite(explanation.fit_auc) and plan["simulator"].isna().any():
        action += f" (separable from the slice with an AUC of {explanation.fit_auc:.2f})"
    return action


def _describe_treatment(plan: pd.DataFrame) -> str:
    """Return the treated and simulated training images of a slice's plan, in words."""
    phrases = []
    by_treatment = plan.fillna({"simulator": ""}).groupby(["remedy", "simulator"], sort=False)
    for (remedy, simulator), rows in by_treatment:
        ranges = []
        for low, high in rows[["strength_low", "strength_high"]].drop_duplicates().to_numpy():
            ranges.append(describe_strength_range(str(remedy), low, high))
        treatment = " and ".join(ranges)
        if simulator:
            phrases.append(f"images that the simulator of {simulator} drew under {treatment}")
        else:
            phrases.append(f"{len(rows):,} training images treated with {treatment}")
    return " and ".join(phrases)


def mark_untrained_slices(prescriptions: list[dict[str, Any]], trained_slices: set[str]) -> None:
    """Mark the prescriptions that the plan search left out of training, in place."""
    for item in prescriptions:
        if item["images"] and item["slice"] not in trained_slices:
            reason = "tried, and left out because it gained too little"
            item |= {"images": 0, "action": f"{reason}: {item['action']}"}
