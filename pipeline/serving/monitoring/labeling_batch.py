"""The next labeling batch: declined and least certain images, spread over several strata."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rule_columns import CHOSEN_COLUMN
from pipeline.domain.statuses import Decision
from pipeline.report.sentences.traffic_sentences import describe_novel_side
from pipeline.slices.tracking.novel_values import flag_novel_values
from pipeline.slices.tracking.reference_profile import SLICE_COLUMN_PREFIX, ReferenceProfile
from pipeline.slices.tracking.traffic_comparison import ArrivedTraffic, list_shared_attributes

Mask = NDArray[np.bool_]
REMAINING_STRATUM = "in no slice, and nothing new"


def build_strata(reference: ReferenceProfile, traffic: ArrivedTraffic) -> dict[str, Mask]:
    """Return the strata of a batch that hold images: bool [rows] by description.

    The strata are the known slices, the novel values of each attribute, and the remaining images.

    Args:
        reference: the data of the model.
        traffic: the images that arrived.
    """
    table = traffic.table
    strata = {}
    for name in reference.rules:
        description = f"{name}: {reference.format_slice_rule(name)}"
        strata[description] = table[SLICE_COLUMN_PREFIX + name].to_numpy(bool)
    for name in list_shared_attributes(reference, traffic):
        for side, mask in flag_novel_values(name, reference, table):
            words = describe_novel_side(name, side)
            strata[f"{words} beyond anything known"] = mask
    is_covered = np.zeros(len(table), bool)
    for mask in strata.values():
        is_covered |= mask
    strata[REMAINING_STRATUM] = ~is_covered
    return {description: mask for description, mask in strata.items() if mask.any()}


def _rank_rows(rows: pd.DataFrame, row_units: pd.Series) -> NDArray[np.intp]:
    """Return row numbers in labeling order.

    Declined images come first. One image of each unit comes before the second of any. Among these,
    the least certain comes first.
    """
    table = pd.DataFrame(
        {
            "is_answered": (rows["decision"] != Decision.DECLINE).to_numpy(),
            "unit": row_units.to_numpy(),
            "probability": rows["probability"].to_numpy(float),
        }
    )
    by_probability = table.sort_values("probability", kind="stable")
    table["rank"] = by_probability.groupby("unit").cumcount()
    ordered = table.sort_values(["is_answered", "rank", "probability"], kind="stable")
    return ordered.index.to_numpy(np.intp)


def _interleave_strata(
    ranked_rows: NDArray[np.intp], stratum_masks: Mapping[str, Mask]
) -> Iterator[int]:
    """Yield each row once: in turn the next of each stratum, in the given order within it."""
    queues = [iter(ranked_rows[mask[ranked_rows]].tolist()) for mask in stratum_masks.values()]
    yielded: set[int] = set()
    while queues:
        for queue in list(queues):
            row = next((k for k in queue if k not in yielded), None)
            if row is None:
                queues.remove(queue)
            else:
                yielded.add(row)
                yield row


def _describe_choice(row: pd.Series, strata: list[str]) -> str:
    cause = "declined" if row["decision"] == Decision.DECLINE else "among the least certain"
    return f"{cause} ({row['predicted']}, {row['probability']:.3f}); {'; '.join(strata)}"


def _resolve_path(path: str) -> str:
    return os.path.abspath(path) if os.path.exists(path) else path


def choose_batch(
    rows: pd.DataFrame, reference: ReferenceProfile, traffic: ArrivedTraffic, batch_size: int
) -> pd.DataFrame:
    """Return a manifest of the images to label next.

    Args:
        rows: rows of images that could be read.
        reference: the data of the model.
        traffic: the traffic of these rows, in their order.
        batch_size: largest number of images.

    Returns:
        file_name, label (empty), group and captured_at if known, and why each was chosen.
    """
    strata = build_strata(reference, traffic)
    ranked_rows = _rank_rows(rows, traffic.table["unit"])
    chosen = list(islice(_interleave_strata(ranked_rows, strata), batch_size))
    picked = rows.iloc[chosen]
    batch = pd.DataFrame({"file_name": picked["path"].astype(str).map(_resolve_path), "label": ""})
    for column in ("group", "captured_at"):
        if column in picked and picked[column].notna().any():
            batch[column] = picked[column]
    reasons = []
    for k in chosen:
        memberships = [description for description, mask in strata.items() if mask[k]]
        reasons.append(_describe_choice(rows.iloc[k], memberships))
    return batch.assign(**{CHOSEN_COLUMN: reasons}).reset_index(drop=True)
