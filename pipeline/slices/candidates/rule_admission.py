"""Which images a slice admits outside val: those that its frozen rule does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import Mask, Rule, measure_cosine_distances
from pipeline.domain.statuses import SliceStatus


def parse_frozen_rules(explanations: pd.DataFrame) -> dict[str, Rule]:
    """The rule in force of each confirmed slice, by rank. explanations: the artifact."""
    found = explanations[explanations["status"] == SliceStatus.CONFIRMED].sort_values("rank")
    return {
        str(name): Rule.parse_json(text)
        for name, text in zip(found["slice"], found["frozen"], strict=True)
    }


def collect_reference_ids(rules: Iterable[Rule]) -> set[str]:
    """The image_ids of the images that rules measure distances to."""
    return {c.column for rule in rules for c in rule.conditions if c.op == "near"}


def measure_reference_distances(
    frame: pd.DataFrame, rules: Iterable[Rule], embeddings: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Distances float32 [rows] of every image to each image that a rule names; NaN, so outside, where its embedding is
    (the sealed test)."""
    rows, vectors = (
        np.flatnonzero(frame["image_id"].isin(collect_reference_ids(rules))),
        np.asarray(embeddings),
    )
    return dict(
        zip(
            frame["image_id"].iloc[rows].astype(str),
            measure_cosine_distances(vectors, rows.tolist()),
            strict=True,
        )
    )


def compute_slice_masks(
    frame: pd.DataFrame,
    rules: Mapping[str, Rule],
    reference_distances: Mapping[str, NDArray[np.float32]],
    *,
    should_use_label: bool = False,
) -> dict[str, Mask]:
    """bool [rows of frame] for each slice, by the image part of its rule, since a image at the gate has no label;
    labeled: by the whole rule, as on val."""
    return {
        name: (rule.compute_mask if should_use_label else rule.compute_image_mask)(
            frame, reference_distances
        )
        for name, rule in rules.items()
    }
