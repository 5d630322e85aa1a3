"""The images that frozen rules admit, outside the validation set as well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import Mask, Rule
from pipeline.domain.statuses import SliceStatus

EMBEDDING_CHUNK_ROWS = 65_536  # rows of frozen features in memory at once


def parse_frozen_rules(explanations: pd.DataFrame) -> dict[str, Rule]:
    """Return the frozen rule of each confirmed slice by its name, in the order of the ranks.

    Args:
        explanations: the artifact.
    """
    is_confirmed = explanations["status"] == SliceStatus.CONFIRMED
    confirmed = explanations[is_confirmed].sort_values("rank")
    names = confirmed["slice"].astype(str)
    return dict(zip(names, confirmed["frozen"].map(Rule.parse_json), strict=True))


def collect_reference_ids(rules: Iterable[Rule]) -> set[str]:
    """Return the ids of the images to which rules measure distances."""
    conditions = (condition for rule in rules for condition in rule.conditions)
    return {condition.column for condition in conditions if condition.op == "near"}


def measure_cosine_distances(
    embeddings: NDArray[np.float32],
    reference_rows: Sequence[int],
    chunk_rows: int = EMBEDDING_CHUNK_ROWS,
) -> NDArray[np.float32]:
    """Return the cosine distance of every embedding to each of some rows.

    Reference rows are handled one by one, so that a distance does not depend on the other ones.

    Args:
        embeddings: float32 [n, features].
        reference_rows: rows of `embeddings`.
        chunk_rows: rows in memory at once.

    Returns:
        float32 [reference rows, n]; NaN if an embedding is NaN.
    """
    distances = np.empty((len(reference_rows), len(embeddings)), np.float32)
    references = np.asarray(embeddings[list(reference_rows)])
    references = references / np.maximum(np.linalg.norm(references, axis=1, keepdims=True), 1e-9)
    for start in range(0, len(embeddings), chunk_rows):
        chunk = np.asarray(embeddings[start : start + chunk_rows])
        norms = np.sqrt(np.einsum("nd,nd->n", chunk, chunk))
        for index, reference in enumerate(references):
            cosine = (chunk @ reference) / np.maximum(norms, 1e-9)
            distances[index, start : start + chunk_rows] = 1 - cosine
    return distances


def measure_reference_distances(
    frame: pd.DataFrame, rules: Iterable[Rule], embeddings: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Return the distances of every image to each image that a rule names, by its id.

    Args:
        frame: `image_id` of each image.
        rules: the rules.
        embeddings: float32 [rows, features]; NaN for the sealed test set.

    Returns:
        float32 [rows] by image id; NaN, which no rule admits, if an embedding is NaN.
    """
    rows = np.flatnonzero(frame["image_id"].isin(collect_reference_ids(rules)))
    image_ids = frame["image_id"].iloc[rows].astype(str)
    distances = measure_cosine_distances(np.asarray(embeddings), rows.tolist())
    return dict(zip(image_ids, distances, strict=True))


def compute_slice_masks(
    frame: pd.DataFrame,
    rules: Mapping[str, Rule],
    reference_distances: Mapping[str, NDArray[np.float32]],
    *,
    should_use_label: bool = False,
) -> dict[str, Mask]:
    """Return bool [rows] for each slice: whether its rule admits each image.

    Args:
        frame: one row for each image, with the columns that the rules test.
        rules: the rule of each slice.
        reference_distances: float32 [rows] of cosine distances by image id.
        should_use_label: whether the label part counts, as on validation. It does not by default:
            an image at prediction time has no label.
    """
    masks = {}
    for name, rule in rules.items():
        compute_mask = rule.compute_mask if should_use_label else rule.compute_image_mask
        masks[name] = compute_mask(frame, reference_distances)
    return masks


def measure_admission_shares(
    rule: Rule, image_mask: Mask, splits: pd.Series[str]
) -> dict[str, float | None]:
    """Return the share of the images of each split that the image part of a rule admits.

    No label and no prediction is looked at. A rule that carries over admits similar shares.

    Args:
        rule: the rule.
        image_mask: bool [images], the images that its image part admits.
        splits: the split of each image; None for an image in no split.

    Returns:
        The shares by split; None for a split without images, and for the test set if the rule
        needs features, which are unknown there.
    """
    shares: dict[str, float | None] = {}
    for name in ("train", "val", "test"):
        is_split = (splits == name).to_numpy(dtype=bool)
        is_readable = not (name == "test" and rule.has_similarity_condition)
        shares[name] = (
            float(image_mask[is_split].mean()) if is_split.any() and is_readable else None
        )
    return shares
