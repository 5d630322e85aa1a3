"""What people are asked for: images to collect for each slice (how many, with examples), and labels to review."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.domain.rules import Mask, iterate_rows


def write_requests(
    folder: Path,
    slice_masks: Mapping[str, Mask],
    images: pd.DataFrame,
    splits: pd.DataFrame,
    confirmed_slices: pd.DataFrame,
    membership: pd.DataFrame,
    label_issues: pd.DataFrame,
) -> Path:
    """Write both tables into `folder`; members: which images each confirmed slice admits; else the artifacts."""
    folder.mkdir(exist_ok=True)
    path_of = images.set_index("image_id")["path"]
    train, val = (splits["split"] == "train").to_numpy(), (splits["split"] == "val").to_numpy()
    rows = []
    for item in iterate_rows(confirmed_slices):
        inside = slice_masks[str(item.slice)]
        wanted = round(float(inside[val].mean()) * int(train.sum())) if val.any() else 0
        typical = membership[membership["slice"] == item.slice].nlargest(5, "score")["image_id"]
        rows.append(
            {
                "slice": item.slice,
                "words": item.words,
                "rule": item.rule,
                "have": int(inside[train].sum()),
                "wanted": max(wanted, int(inside[train].sum())),
                "examples": "; ".join(path_of[typical]),
            }
        )
    columns = ["slice", "words", "rule", "have", "wanted", "examples"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "collect.csv", index=False)
    relabel = label_issues.assign(path=path_of[label_issues["image_id"]].to_numpy())
    relabel[["path", "label", "suggested", "confidence", "kind", "split"]].to_csv(
        folder / "relabel.csv", index=False
    )
    return folder


def describe_prescription(
    explanation: Any, plan: pd.DataFrame, correction: dict[str, Any] | None
) -> dict[str, Any]:
    """What is prescribed for a slice, in words: item, a row of `explanations`; plan, its rows of the plan."""
    planned = plan["image_id"].nunique() if len(plan) else 0
    if planned and pd.isna(explanation.cause):
        times = plan["strength_low"].iloc[0]
        if plan["remedy"].iloc[0] == "reweighting":
            action, kind = (
                f"weigh {planned:,} training images without the mark {times:.0f} times as much",
                "reweight",
            )
            action += ", so that they count as those with it; the last layer alone learns where nothing else is trained"
        else:
            action, kind = (
                f"show {planned:,} training images like these {times:.0f} times as often",
                "oversample",
            )
            action += ", and collect more: no transform was shown to be the cause"
    elif planned:
        spans = plan[["strength_low", "strength_high"]].drop_duplicates().itertuples(index=False)
        strengths = [" to ".join(dict.fromkeys(f"{strength:.3g}" for strength in span)) for span in spans]
        action, kind = (
            f"train on {_describe_treatment(plan)} at strength {' and '.join(strengths)}",
            "augment",
        )
        if np.isfinite(explanation.fitted) and plan["simulator"].isna().any():
            action += f" (told from the slice with an AUC of {explanation.fitted:.2f})"
    else:
        action, kind = (
            "collect more images like these: no transform was shown to be the cause",
            "collect",
        )
    also = (
        f"; or correct them as they arrive: {correction['words']}"
        if correction and correction["helps"]
        else ""
    )
    return {
        "slice": explanation.slice,
        "kind": kind,
        "words": explanation.words,
        "action": action + also,
        "images": planned,
    }


def _describe_treatment(plan: pd.DataFrame) -> str:
    """Of a slice's plan, in words: who is treated with what, and what is simulated."""
    told = []
    for (remedy, simulator), part in plan.fillna({"simulator": ""}).groupby(
        ["remedy", "simulator"], sort=False
    ):
        title = str(remedy).replace("_", " ")
        if not simulator:
            told.append(f"{len(part):,} training images treated with {title}")
        else:
            told.append(f"images that the simulator of {simulator} drew under {title}")
    return " and ".join(told)


def mark_untrained_slices(prescriptions: list[dict[str, Any]], trained_slices: set[str]) -> None:
    """Say of which slices the search left the training out."""
    for item in prescriptions:
        if item["images"] and item["slice"] not in trained_slices:
            item |= {
                "images": 0,
                "action": f"tried, and left out since it brought too little: {item['action']}",
            }
