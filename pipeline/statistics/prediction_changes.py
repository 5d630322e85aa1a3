"""Image by image: what the models of one split said, and which images are worth a look."""

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
    """One row for each image [n]: the classes named by the first seed of each arm (before, control, after), the
    calibrated probability of the true class before and after, the change, and no heat map yet (-1).

    Where no arms are compared, control and after are the model before."""
    before = comparison.select_arm("before")[0]
    control, after = (
        comparison.select_arm(arm)[0] if comparison.has_comparison_arms else before
        for arm in ("control", "targeted")
    )
    picks = {
        name: m.logits.argmax(1)
        for name, m in (("before", before), ("control", control), ("after", after))
    }
    was, now = picks["before"] == comparison.labels, picks["after"] == comparison.labels
    names = np.array(comparison.class_names, dtype=object)
    return pd.DataFrame(
        {
            "image_id": image_ids.to_numpy(),
            "label": names[comparison.labels],
            **{name: names[pick] for name, pick in picks.items()},
            "p_before": _compute_label_probabilities(before, comparison.labels),
            "p_after": _compute_label_probabilities(after, comparison.labels),
            "change": np.select(
                [~was & now, was & ~now, ~was & ~now], CHANGE_KINDS[:3], default=CHANGE_KINDS[3]
            ),
            "saliency": np.full(len(comparison.labels), -1, dtype=np.int64),
        }
    )


def stack_probabilities(comparison: ModelComparison) -> NDArray[np.float32]:
    """Calibrated probabilities float32 [n, 2, classes]: what the model before, and the first targeted one, said.

    Where no arms are compared, the model before stands in both places."""
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
    """At most so many rows of `flips`: fixed, broken and still wrong in turn, the largest changes first."""
    changed = prediction_changes[prediction_changes["change"] != CHANGE_KINDS[3]]
    moved = (changed["p_after"] - changed["p_before"]).abs().to_numpy()
    changed = changed.iloc[np.argsort(-moved, kind="stable")]
    turn = changed.groupby("change").cumcount().to_numpy()
    kind = np.array([CHANGE_KINDS.index(c) for c in changed["change"]], dtype=np.intp)
    order = np.lexsort((kind, turn))
    return np.asarray(changed.index.to_numpy(dtype=np.intp)[order][:max_images])
