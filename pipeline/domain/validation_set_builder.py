"""Assembly of the validation set from the artifacts of earlier stages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.probe_results import ProbeMeasurements
from pipeline.domain.validation_set import ValidationSet


def build_validation_set(
    columns: tuple[pd.DataFrame, pd.DataFrame],
    probe: ProbeMeasurements,
    *,
    splits: pd.DataFrame,
    classes: dict[str, Any],
    predictions: pd.DataFrame,
    embeddings: NDArray[np.float32],
    metrics: dict[str, Any],
    label_issues: pd.DataFrame,
) -> ValidationSet:
    """Return the validation set, its rows in the order of `predictions`.

    Predictions for labels outside `classes` are dropped.

    Args:
        columns: of every image, the columns that a rule may test (with `image_id`, `label` and
            `group`), and the other metadata. Both have the rows of the artifact `images`.
        probe: the probe's measurements.
        splits: the artifact.
        classes: the artifact; its `names` give the class indices.
        predictions: the artifact, of the labeled validation images.
        embeddings: float32 [images, features].
        metrics: the artifact; its `costs` are the error costs.
        label_issues: the images whose label is in doubt.
    """
    frame, other_columns = columns
    names = pd.Index(classes["names"])
    position = pd.Index(frame["image_id"])
    is_val = splits["split"].to_numpy() == "val"
    usable = predictions["label"].isin(names) & predictions["image_id"].isin(position[is_val])
    table = predictions[usable]
    rows = position.get_indexer(pd.Index(table["image_id"]))
    part = frame.iloc[rows].reset_index(drop=True)
    return ValidationSet(
        frame=part,
        other_columns=other_columns.iloc[rows].reset_index(drop=True),
        image_rows=rows,
        folds=splits["fold"].to_numpy()[rows],
        labels=names.get_indexer(pd.Index(table["label"])),
        predictions=names.get_indexer(pd.Index(table["predicted"])),
        confidences=table["confidence"].to_numpy(dtype=np.float64),
        margins=table["margin"].to_numpy(dtype=np.float64),
        logits=table.filter(regex=r"^logit_\d+$").to_numpy(dtype=np.float32),
        embeddings=np.asarray(embeddings[rows]),
        has_label_issue=table["image_id"].isin(set(label_issues["image_id"])).to_numpy(),
        probed_rows=pd.Index(part["image_id"]).get_indexer(pd.Index(probe.image_ids)),
        probe_weights=np.asarray(probe.weights, dtype=np.float64),
        screen_weights=np.asarray(probe.screen_weights, dtype=np.float64),
        responses=np.asarray(probe.responses),
        class_names=tuple(classes["names"]),
        error_costs=metrics.get("costs"),
    )
