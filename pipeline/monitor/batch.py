"""The next labelling batch: photos that were declined or least certain, spread over slices and what is new."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.slicing.reference import PREFIX, Reference
from pipeline.slicing.rules import CHOSEN
from pipeline.slicing.traffic import Traffic, compared, outside

Mask = NDArray[np.bool_]
OTHERS = "in no slice, and nothing new"


def strata(reference: Reference, traffic: Traffic) -> dict[str, Mask]:
    """What a photo can be chosen for, in words: each known slice, each way of lying beyond training, and neither."""
    table = traffic.table
    rules = {f"{s['slice']}: {reference.words(s['slice'])}": PREFIX + str(s["slice"]) for s in reference.slices}
    found = {words: table[column].to_numpy(bool) for words, column in rules.items()}
    for name in compared(reference, traffic):
        found |= {f"{words} beyond anything known": mask for words, mask, _ in outside(name, reference, table)}
    covered = np.logical_or.reduce([np.zeros(len(table), bool), *found.values()])
    return {words: mask for words, mask in {**found, OTHERS: ~covered}.items() if mask.any()}


def _order(rows: pd.DataFrame, units: pd.Series) -> NDArray[np.intp]:
    """Row numbers, those to be labelled first ahead: declined ones, then one photo of every unit, the least certain."""
    sure = rows["probability"].to_numpy(float)
    answered = (rows["decision"] != "decline").to_numpy()
    table = pd.DataFrame({"answered": answered, "unit": units.to_numpy(), "sure": sure})
    table["rank"] = table.sort_values("sure", kind="stable").groupby("unit").cumcount()
    return table.sort_values(["answered", "rank", "sure"], kind="stable").index.to_numpy(np.intp)


def _dealt(order: NDArray[np.intp], groups: Mapping[str, Mask]) -> Iterator[int]:
    """Rows in that order, dealt out in turn over the groups, each row once."""
    queues = [iter([k for k in order.tolist() if mask[k]]) for mask in groups.values()]
    seen: set[int] = set()
    while queues:
        for queue in list(queues):
            row = next((k for k in queue if k not in seen), None)
            if row is None:
                queues.remove(queue)
            else:
                seen.add(row)
                yield row


def _why(row: pd.Series, inside: list[str]) -> str:
    said = "declined" if row["decision"] == "decline" else "among the least certain"
    return f"{said} ({row['predicted']}, {row['probability']:.3f}); {'; '.join(inside)}"


def choose(rows: pd.DataFrame, reference: Reference, traffic: Traffic, size: int) -> pd.DataFrame:
    """A manifest of at most `size` photos: file_name, label (to be filled in), group, captured_at, and why.

    rows, traffic: the readable rows and what was made of them, in one order.
    """
    groups = strata(reference, traffic)
    dealt = _dealt(_order(rows, traffic.table["unit"]), groups)
    chosen = [row for _, row in zip(range(size), dealt, strict=False)]
    picked = rows.iloc[chosen]
    why = [_why(rows.iloc[k], [words for words, mask in groups.items() if mask[k]]) for k in chosen]
    names = [os.path.abspath(p) if os.path.exists(p) else p for p in picked["path"].astype(str)]
    extra = {c: picked[c].to_numpy() for c in ("group", "captured_at") if c in picked and picked[c].notna().any()}
    return pd.DataFrame({"file_name": names, "label": "", **extra, CHOSEN: why})
