"""Suspected wrong labels: other classes are likely for heads that never saw the image's group."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import StageContext
from pipeline.data.quality.label_issues import LABEL_ISSUE_DTYPES
from pipeline.domain.statuses import LabelIssueKind
from pipeline.learning.batches.batch_sampling import ArraySubset
from pipeline.learning.inference.label_errors import (
    can_find_label_errors,
    find_label_errors,
    predict_out_of_fold,
)


def find_suspected_labels(
    images: pd.DataFrame,
    splits: pd.DataFrame,
    layout: NDArray[np.float16],
    labels: NDArray[np.int64],
    *,
    min_confidence: float,
    max_images: int,
    context: StageContext,
) -> pd.DataFrame:
    """Return the rows of `label_issues` for labels outside test that are probably wrong.

    Args:
        images: the artifact of that name.
        splits: the artifact of that name; test images are ignored.
        layout: float16 [images, features], frozen features with coarse positions.
        labels: class index of each image, -1 without a label.
        min_confidence: least probability of another class for a suspected label.
        max_images: largest number of images that a head is trained on.
        context: seed, progress and notes.
    """
    rows = np.flatnonzero((labels >= 0) & (splits["split"] != "test").to_numpy())
    groups = images["group"].to_numpy(dtype=str)[rows]
    if not can_find_label_errors(labels[rows], groups):
        context.add_note("too few groups to look for wrong labels")
        return pd.DataFrame(columns=list(LABEL_ISSUE_DTYPES))
    if len(rows) > max_images:
        context.add_note(
            f"label heads were trained on about {max_images} of {len(rows)} images, evenly by group"
        )
    # only the classes that occur, numbered without gaps
    _, present_labels = np.unique(labels[rows], return_inverse=True)
    class_names = images["label"].iloc[rows].groupby(present_labels).first()
    probabilities = predict_out_of_fold(
        ArraySubset(layout, rows),
        present_labels,
        groups,
        max_images=max_images,
        seed=context.seed,
        track=context.track_progress,
    )
    errors = find_label_errors(probabilities, present_labels, groups, min_confidence)
    suspected = rows[errors["position"].to_numpy(np.intp)]
    return pd.DataFrame(
        {
            "image_id": images["image_id"].to_numpy()[suspected],
            "label": images["label"].to_numpy()[suspected],
            "suggested": class_names.loc[errors["suggested"]].to_numpy(),
            "confidence": errors["confidence"],
            "kind": LabelIssueKind.SUSPECTED,
            "split": splits["split"].to_numpy()[suspected],
        }
    )
