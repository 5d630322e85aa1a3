"""The artifact `predictions`: predicted classes with confidence, margin and logits."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax


def build_predictions(
    image_ids: pd.Series,
    labels: NDArray[np.int64],
    logits: NDArray[np.float32],
    class_names: list[str],
    temperature: float,
) -> pd.DataFrame:
    """Return `predictions`, one row for each image.

    Args:
        image_ids: id of each image.
        labels: class index of each label.
        logits: float32 [images, classes].
        class_names: a class index is a position in it.
        temperature: divides the logits before the confidence is computed.

    Returns:
        `confidence` is the probability of the predicted class, `margin` the logit of the label
        less the best other logit.
    """
    rows = np.arange(len(labels))
    names = np.array(class_names, dtype=object)
    predictions = logits.argmax(1)
    other_logits = logits.copy()
    other_logits[rows, labels] = -np.inf
    probabilities = softmax(logits.astype(np.float64) / temperature, axis=1)
    columns = {
        "image_id": image_ids.to_numpy(),
        "label": pd.Series(names[labels], dtype="str"),
        "predicted": pd.Series(names[predictions], dtype="str"),
        "correct": predictions == labels,
        "confidence": probabilities.max(1, initial=0.0),
        "margin": (logits[rows, labels] - other_logits.max(1)).astype(np.float64),
    }
    for position in range(len(class_names)):
        columns[f"logit_{position}"] = logits[:, position]
    return pd.DataFrame(columns)
