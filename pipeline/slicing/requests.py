"""What people are asked for: photos to collect for each slice (how many, with examples), and labels to review."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pipeline.slicing.rules import Mask, named_rows


def write_requests(
    folder: Path,
    members: Mapping[str, Mask],
    images: pd.DataFrame,
    splits: pd.DataFrame,
    confirmed: pd.DataFrame,
    membership: pd.DataFrame,
    label_issues: pd.DataFrame,
) -> Path:
    """Write both tables into `folder`; members: which images each confirmed slice admits; else the artifacts."""
    folder.mkdir(exist_ok=True)
    path_of = images.set_index("image_id")["path"]
    train, val = (splits["split"] == "train").to_numpy(), (splits["split"] == "val").to_numpy()
    rows = []
    for item in named_rows(confirmed):
        inside = members[str(item.slice)]
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
    relabel[["path", "label", "suggested", "confidence", "kind", "split"]].to_csv(folder / "relabel.csv", index=False)
    return folder
