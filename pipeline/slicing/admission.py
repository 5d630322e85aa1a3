"""Which images a slice admits outside val: those that its frozen rule does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.slicing.rules import Mask, Rule, distances


def frozen_rules(explanations: pd.DataFrame) -> dict[str, Rule]:
    """The rule in force of each confirmed slice, by rank. explanations: the artifact."""
    found = explanations[explanations["status"] == "confirmed"].sort_values("rank")
    return {str(name): Rule.parse(text) for name, text in zip(found["slice"], found["frozen"], strict=True)}


def photos_named(rules: Iterable[Rule]) -> set[str]:
    """The image_ids of the photos that rules measure distances to."""
    return {c.column for rule in rules for c in rule.conditions if c.op == "near"}


def near_photos(
    frame: pd.DataFrame, rules: Iterable[Rule], embeddings: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Distances float32 [rows] of every image to each photo that a rule names; NaN, so outside, where its embedding is
    (the sealed test)."""
    rows, vectors = np.flatnonzero(frame["image_id"].isin(photos_named(rules))), np.asarray(embeddings)
    return dict(zip(frame["image_id"].iloc[rows].astype(str), distances(vectors, rows.tolist()), strict=True))


def admitted_by(
    frame: pd.DataFrame, rules: Mapping[str, Rule], near: Mapping[str, NDArray[np.float32]], *, labelled: bool = False
) -> dict[str, Mask]:
    """bool [rows of frame] for each slice, by the image part of its rule, since a photo at the gate has no label;
    labelled: by the whole rule, as on val."""
    return {name: (rule.mask if labelled else rule.image_mask)(frame, near) for name, rule in rules.items()}
