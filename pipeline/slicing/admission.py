"""Which images a slice admits: those that most of its fold rules admit, by their image part (a photo at the gate has no
label)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.slicing.rules import Mask, Rule, distances

Rules = Mapping[str, list[Rule]]
Near = Mapping[str, NDArray[np.float32]]


def rules_by_slice(slices: pd.DataFrame, names: Iterable[str]) -> dict[str, list[Rule]]:
    """The rules of each named slice, one for each fold. slices: the artifact."""
    return {str(n): [Rule.parse(text) for text in slices.loc[slices["slice"] == n, "rule"]] for n in names}


def photos_named(rules: Iterable[Rule]) -> set[str]:
    """The image_ids of the photos that rules measure distances to."""
    return {c.column for rule in rules for c in rule.conditions if c.op == "near"}


def near_photos(frame: pd.DataFrame, rules: Rules, embeddings: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Distances float32 [rows] of every image to each photo that a rule names; NaN, so outside, where its embedding is
    (the sealed test)."""
    named = photos_named(rule for of_slice in rules.values() for rule in of_slice)
    rows, vectors = np.flatnonzero(frame["image_id"].isin(named)), np.asarray(embeddings)
    return {str(frame["image_id"].iloc[row]): distances(vectors, int(row)) for row in rows}


def admitted_by(frame: pd.DataFrame, rules: Rules, near: Near) -> dict[str, Mask]:
    """bool [rows of frame] for each slice."""
    votes = {n: np.sum([rule.image_mask(frame, near) for rule in of_slice], axis=0) for n, of_slice in rules.items()}
    return {name: np.asarray(2 * vote > len(rules[name])) for name, vote in votes.items()}
