"""The next labeling batch: images that were declined or least certain, spread over slices and what is new."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import CHOSEN_COLUMN
from pipeline.slices.tracking.reference_profile import SLICE_COLUMN_PREFIX, ReferenceProfile
from pipeline.slices.tracking.traffic_comparison import (
    ArrivedTraffic,
    describe_unknown_values,
    list_shared_attributes,
)

Mask = NDArray[np.bool_]
REMAINING_STRATUM_WORDS = "in no slice, and nothing new"


def build_strata(reference: ReferenceProfile, traffic: ArrivedTraffic) -> dict[str, Mask]:
    """What a image can be chosen for, in words: each known slice, each way of lying beyond training, and neither."""
    table = traffic.table
    rules = {
        f"{s['slice']}: {reference.format_slice_rule(s['slice'])}": SLICE_COLUMN_PREFIX
        + str(s["slice"])
        for s in reference.slice_records
    }
    found = {words: table[column].to_numpy(bool) for words, column in rules.items()}
    for name in list_shared_attributes(reference, traffic):
        found |= {
            f"{words} beyond anything known": mask
            for words, mask, _ in describe_unknown_values(name, reference, table)
        }
    covered = np.logical_or.reduce([np.zeros(len(table), bool), *found.values()])
    return {
        words: mask
        for words, mask in {**found, REMAINING_STRATUM_WORDS: ~covered}.items()
        if mask.any()
    }


def _rank_rows(rows: pd.DataFrame, row_units: pd.Series) -> NDArray[np.intp]:
    """Row numbers, those to be labeled first ahead: declined ones, then one image of every unit, the least certain."""
    sure = rows["probability"].to_numpy(float)
    answered = (rows["decision"] != "decline").to_numpy()
    table = pd.DataFrame({"answered": answered, "unit": row_units.to_numpy(), "sure": sure})
    table["rank"] = table.sort_values("sure", kind="stable").groupby("unit").cumcount()
    return table.sort_values(["answered", "rank", "sure"], kind="stable").index.to_numpy(np.intp)


def _interleave_strata(
    ranked_rows: NDArray[np.intp], stratum_masks: Mapping[str, Mask]
) -> Iterator[int]:
    """Rows in that order, dealt out in turn over the groups, each row once."""
    queues = [iter([k for k in ranked_rows.tolist() if mask[k]]) for mask in stratum_masks.values()]
    seen: set[int] = set()
    while queues:
        for queue in list(queues):
            row = next((k for k in queue if k not in seen), None)
            if row is None:
                queues.remove(queue)
            else:
                seen.add(row)
                yield row


def _describe_choice(row: pd.Series, stratum_words: list[str]) -> str:
    said = "declined" if row["decision"] == "decline" else "among the least certain"
    return f"{said} ({row['predicted']}, {row['probability']:.3f}); {'; '.join(stratum_words)}"


def choose_batch(
    rows: pd.DataFrame, reference: ReferenceProfile, traffic: ArrivedTraffic, batch_size: int
) -> pd.DataFrame:
    """A manifest of at most `size` images: file_name, label (to be filled in), group, captured_at, and why.

    rows, traffic: the readable rows and what was made of them, in one order.
    """
    groups = build_strata(reference, traffic)
    dealt = _interleave_strata(_rank_rows(rows, traffic.table["unit"]), groups)
    chosen = [row for _, row in zip(range(batch_size), dealt, strict=False)]
    picked = rows.iloc[chosen]
    why = [
        _describe_choice(rows.iloc[k], [words for words, mask in groups.items() if mask[k]])
        for k in chosen
    ]
    names = [os.path.abspath(p) if os.path.exists(p) else p for p in picked["path"].astype(str)]
    extra = {
        c: picked[c].to_numpy()
        for c in ("group", "captured_at")
        if c in picked and picked[c].notna().any()
    }
    return pd.DataFrame({"file_name": names, "label": "", **extra, CHOSEN_COLUMN: why})
