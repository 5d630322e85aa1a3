"""Builds validation sets from the few arrays that a test is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.probe_results import ProbeMeasurements
from pipeline.domain.rule_columns import build_metadata_frame, split_columns
from pipeline.domain.validation_set import ValidationSet
from pipeline.domain.validation_set_builder import build_validation_set
from pipeline.graph import get_stage


def encode_responses(
    is_correct_after: NDArray[Any], labels: NDArray[Any], class_count: int
) -> NDArray[np.int16]:
    """Return int16 [probed, interventions]: the label where correct, the next class elsewhere.

    Args:
        is_correct_after: bool [probed, interventions].
        labels: class index of each probed image.
        class_count: number of classes.
    """
    correct = labels[:, None]
    return np.where(is_correct_after, correct, (correct + 1) % class_count).astype(np.int16)


def make_validation_set(
    frame: pd.DataFrame,
    labels: Sequence[int] | NDArray[Any],
    predictions: Sequence[int] | NDArray[Any],
    class_names: Sequence[str] = ("a", "b"),
    *,
    is_correct_after: NDArray[Any] | None = None,
    probed_rows: NDArray[Any] | None = None,
    **fields: Any,
) -> ValidationSet:
    """Return a validation set with neutral values for the fields that are not passed.

    Args:
        frame: `image_id`, `label`, `group`, then the columns that a rule may test.
        labels: class index of each label.
        predictions: class index of each prediction.
        class_names: names of the classes.
        is_correct_after: bool [probed, interventions]; without it no intervention was tried.
        probed_rows: rows of the probed images, every one by default.
        fields: further fields of `ValidationSet`, as they are.
    """
    rows = np.arange(len(frame))
    label_codes = np.asarray(labels, dtype=np.intp)
    probed = rows if probed_rows is None else probed_rows
    after = np.zeros((len(probed), 0), bool) if is_correct_after is None else is_correct_after
    neutral: dict[str, Any] = {
        "other_columns": pd.DataFrame(index=frame.index),
        "image_rows": rows,
        "folds": rows % 5,
        "confidences": np.ones(len(rows)),
        "margins": np.ones(len(rows)),
        "logits": np.zeros((len(rows), 0), np.float32),
        "embeddings": np.zeros((len(rows), 0), np.float32),
        "has_label_issue": np.zeros(len(rows), bool),
        "probed_rows": probed,
        "probe_weights": np.ones(len(probed)),
        "screen_weights": np.ones(len(probed)),
        "responses": encode_responses(after, label_codes[probed], len(class_names)),
    }
    required = {
        "labels": label_codes,
        "predictions": np.asarray(predictions, dtype=np.intp),
        "class_names": tuple(class_names),
    }
    return ValidationSet(frame=frame, **(neutral | required | fields))


def build_from_artifacts(artifacts: dict[str, Any]) -> ValidationSet:
    """Return the validation set that the stage `probe` makes of these artifacts.

    Args:
        artifacts: by name; for the measurements `probed` (image_id, weight) and `responses`.
            Without these nothing was probed. Embeddings and label issues may be missing.
    """
    probe = ProbeMeasurements.build_empty()
    if "probed" in artifacts:
        probed = artifacts["probed"]
        probe = ProbeMeasurements(
            image_ids=list(probed["image_id"]),
            weights=probed["weight"].to_numpy(float),
            screen_weights=probed["weight"].to_numpy(float),
            responses=artifacts["responses"],
        )
    images = artifacts["images"]
    optional = {
        "embeddings": np.zeros((len(images), 0), np.float32),
        "label_issues": pd.DataFrame({"image_id": pd.Series([], dtype="str")}),
    }
    metadata = build_metadata_frame(images, artifacts["attributes"], artifacts.get("marks"))
    names = ("splits", "classes", "predictions", "embeddings", "metrics", "label_issues")
    needed = {name: (optional | artifacts)[name] for name in names}
    return build_validation_set(split_columns(metadata), probe, **needed)


def collect_needs(stage_name: str, artifacts: dict[str, Any]) -> dict[str, Any]:
    """Return what a stage needs, by name, with the validation set built from the artifacts.

    Args:
        stage_name: the stage.
        artifacts: by name.
    """
    known = artifacts | {"validation_set": build_from_artifacts(artifacts)}
    return {name: known[name] for name in get_stage(stage_name).needs}
