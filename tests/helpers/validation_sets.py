"""Builds validation sets from the few arrays that a test is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import metadata_frame, split_columns
from pipeline.domain.validation_set import ProbeMeasurements, ValidationSet, build_validation_set
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
    right = labels[:, None]
    return np.where(is_correct_after, right, (right + 1) % class_count).astype(np.int16)


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
    """Return a validation set; what is not given is neutral.

    Args:
        frame: `image_id`, `label`, `group`, then the columns that a rule may test.
        labels: class index of each label.
        predictions: class index of each prediction.
        class_names: of the classes.
        is_correct_after: bool [probed, interventions]; without it no intervention was tried.
        probed_rows: rows of the probed images, every one by default.
        fields: further fields of `ValidationSet`, as they are.
    """
    rows, true = np.arange(len(frame)), np.asarray(labels, dtype=np.intp)
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
        "responses": encode_responses(after, true[probed], len(class_names)),
        "signatures": np.zeros(after.shape, np.float32),
    }
    given = {
        "labels": true,
        "predictions": np.asarray(predictions, dtype=np.intp),
        "class_names": tuple(class_names),
    }
    return ValidationSet(frame=frame, **(neutral | given | fields))


def build_from_artifacts(artifacts: dict[str, Any]) -> ValidationSet:
    """Return the validation set that the stage `probe` makes of these artifacts.

    Args:
        artifacts: by name; for the measurements `probed` (image_id, weight), `signatures` and `responses`. Without
            these nothing was probed; without embeddings and label issues there are none.
    """
    probe = ProbeMeasurements.empty()
    if "probed" in artifacts:
        probed, responses = artifacts["probed"], artifacts["responses"]
        signatures = artifacts.get("signatures", np.zeros(responses.shape, np.float32))
        probe = ProbeMeasurements(
            list(probed["image_id"]), probed["weight"].to_numpy(float), signatures, responses
        )
    images = artifacts["images"]
    nothing = {
        "embeddings": np.zeros((len(images), 0), np.float32),
        "label_issues": pd.DataFrame({"image_id": pd.Series([], dtype="str")}),
    }
    names = ("splits", "classes", "predictions", "embeddings", "metrics", "label_issues")
    columns = split_columns(metadata_frame(images, artifacts["attributes"], artifacts.get("marks")))
    return build_validation_set(
        columns, probe, **{name: {**nothing, **artifacts}[name] for name in names}
    )


def collect_needs(stage_name: str, artifacts: dict[str, Any]) -> dict[str, Any]:
    """Return what a stage needs, by name, with the validation set built of the artifacts that it is made from.

    Args:
        stage_name: the stage.
        artifacts: by name.
    """
    known = artifacts | {"validation_set": build_from_artifacts(artifacts)}
    return {name: known[name] for name in get_stage(stage_name).needs}
