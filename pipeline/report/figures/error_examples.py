"""Where the errors of a run are if no slice explains them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.report.report_page import ReportPage

MAX_PAIRS = 5
MAX_EXAMPLES = 6
MAX_TRAINING_IMAGES = 5_000  # that images are compared with; more change the nearest one little
_MIN_NORM = 1e-9  # keeps the cosine of an embedding of zeros defined


def list_error_pairs(page: ReportPage) -> list[tuple[str, str, list[str]]]:
    """Return label, prediction and image ids of the most frequent errors."""
    errors = page.flips[page.is_misclassified]
    pairs = []
    for pair, rows in errors.groupby(["label", "before"], sort=True):
        pairs.append((str(pair[0]), str(pair[1]), list(rows.sort_values("p_before")["image_id"])))
    pairs.sort(key=lambda item: -len(item[2]))
    return pairs[:MAX_PAIRS]


def list_least_certain(page: ReportPage) -> list[tuple[str, float]]:
    """Return id and probability of the prediction of the images with the lowest ones."""
    probabilities = np.asarray(page["answers"])[:, 0].max(axis=1)
    order = np.argsort(probabilities, kind="stable")[:MAX_EXAMPLES]
    ids = page["flips"]["image_id"]
    return [(str(ids.iloc[row]), float(probabilities[row])) for row in order]


def list_unlike_training(page: ReportPage) -> list[tuple[str, float]]:
    """Return id and cosine distance of the misclassified images most unlike training images.

    The distance is that to the nearest training image in frozen features. Each group gives one
    image, and black ones are left out: they are unlike anything.
    """
    features, images = page.artifacts.get("embeddings"), page.images
    if features is None or not len(features):
        return []
    train_rows = np.flatnonzero((images["split"] == "train").to_numpy())
    train_rows = np.random.default_rng(page.seed).permutation(train_rows)[:MAX_TRAINING_IMAGES]
    wrong_ids = page.flips.index[page.is_misclassified]
    train = _normalize(np.asarray(features[np.sort(train_rows)]))
    wrong = _normalize(np.asarray(features[images.index.get_indexer(wrong_ids)]))
    train = train[np.isfinite(train).all(axis=1)]
    if not len(train) or not len(wrong):
        return []
    distances = pd.Series(1 - (wrong @ train.T).max(axis=1), wrong_ids).dropna()
    distances = distances.drop(list(page.black_image_ids.intersection(distances.index)))
    distances = distances.sort_values(ascending=False, kind="stable")
    is_first_of_group = ~page.flips["group"].reindex(distances.index).duplicated()
    furthest = distances[is_first_of_group].head(MAX_EXAMPLES)
    return [(str(image_id), float(distance)) for image_id, distance in furthest.items()]


def _normalize(features: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.maximum(np.linalg.norm(features, axis=1, keepdims=True), _MIN_NORM)
    return np.asarray(features / norms, dtype=np.float32)
