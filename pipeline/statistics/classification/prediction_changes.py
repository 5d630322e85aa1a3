"""Predictions before and after, image by image, and which images to look at."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.statistics.model_comparison import ModelComparison, ModelOutput

CHANGE_KINDS = ("fixed", "broken", "still wrong", "still right")


def _compute_label_probabilities(
    model_output: ModelOutput, labels: NDArray[np.intp]
) -> NDArray[np.float64]:
    shares = softmax(model_output.logits.astype(np.float64) / model_output.temperature, axis=1)
    return np.asarray(shares[np.arange(len(labels)), labels])


def build_prediction_changes(image_ids: pd.Series, comparison: ModelComparison) -> pd.DataFrame:
    """Return one row for each image [n] with its predictions before and after.

    The primary model of each arm counts (before, control, after). Without a comparison of arms,
    control and after repeat the baseline. `p_before` and `p_after` are calibrated probabilities of
    the label; `saliency` is -1: no heat map yet.
    """
    before = comparison.select_arm("before")[0]
    control = comparison.select_arm("control")[0] if comparison.has_comparison_arms else before
    after = comparison.select_arm("targeted")[0] if comparison.has_comparison_arms else before
    predictions = {
        name: m.logits.argmax(1)
        for name, m in (("before", before), ("control", control), ("after", after))
    }
    was_correct = predictions["before"] == comparison.labels
    is_correct = predictions["after"] == comparison.labels
    names = np.array(comparison.class_names, dtype=object)
    return pd.DataFrame(
        {
            "image_id": image_ids.to_numpy(),
            "label": names[comparison.labels],
            **{name: names[classes] for name, classes in predictions.items()},
            "p_before": _compute_label_probabilities(before, comparison.labels),
            "p_after": _compute_label_probabilities(after, comparison.labels),
            "change": np.select(
                [~was_correct & is_correct, was_correct & ~is_correct, ~was_correct & ~is_correct],
                CHANGE_KINDS[:3],
                default=CHANGE_KINDS[3],
            ),
            "saliency": np.full(len(comparison.labels), -1, dtype=np.int64),
        }
    )


def stack_probabilities(comparison: ModelComparison) -> NDArray[np.float32]:
    """Return the calibrated probabilities before and after, float32 [n, 2, classes].

    Without a comparison of arms the baseline fills both places.
    """
    before = comparison.select_arm("before")[0]
    both = (
        before,
        comparison.select_arm("targeted")[0] if comparison.has_comparison_arms else before,
    )
    shares = [
        softmax(model.logits.astype(np.float64) / model.temperature, axis=1) for model in both
    ]
    return np.stack(shares, axis=1).astype(np.float32)


def select_changed_images(prediction_changes: pd.DataFrame, max_images: int) -> NDArray[np.intp]:
    """Return up to `max_images` row positions of `prediction_changes` to look at.

    Fixed, broken and still wrong images take turns, the largest change first.
    """
    changed = prediction_changes[prediction_changes["change"] != CHANGE_KINDS[3]]
    moved = (changed["p_after"] - changed["p_before"]).abs().to_numpy()
    changed = changed.iloc[np.argsort(-moved, kind="stable")]
    turn = changed.groupby("change").cumcount().to_numpy()
    kind = np.array([CHANGE_KINDS.index(c) for c in changed["change"]], dtype=np.intp)
    order = np.lexsort((kind, turn))
    return np.asarray(changed.index.to_numpy(dtype=np.intp)[order][:max_images])
