"""Artifacts around the finder, drawn from numbers with a planted dark slice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import remedies
from pipeline.data.quality.label_issues import LABEL_ISSUE_DTYPES
from pipeline.domain.validation_set import ValidationSet
from tests.slices.conftest import draw_val

CLASS_NAMES = ["a", "b", "c"]


def make_finder_artifacts(seed: int = 0, **options: Any) -> dict[str, Any]:
    """Return what cluster, explain and prescribe need, by name.

    The validation images come first, then as many training images in daylight.

    Args:
        seed: seed of the draws.
        options: options of `draw_val`.
    """
    val = draw_val(seed, **options).val
    count = val.image_count
    rng = np.random.default_rng(seed)
    training = val.frame.assign(
        image_id=[f"t{row}" for row in range(count)],
        group=[f"t{group}" for group in val.frame["group"]],
        luminance=rng.normal(120, 6, count),
        hour=rng.uniform(8, 17, count),
    )
    frame = pd.concat([val.frame, training], ignore_index=True)
    interventions = remedies.list_interventions()
    artifacts = {
        "images": _build_images(frame),
        "attributes": frame[["image_id", "luminance", "sharpness", "hour"]],
        "marks": frame[["image_id"]].copy(),
        "pixels": rng.integers(0, 255, (2 * count, 16, 16, 3), dtype=np.uint8),
        "classes": {"names": CLASS_NAMES},
        "model": Path("model"),
        "training": {"holdout": {"share": 0.2, "seed": 0}, "augmentation": {"recipe": "bare"}},
        "splits": pd.DataFrame(
            {
                "image_id": frame["image_id"],
                "split": ["val"] * count + ["train"] * count,
                "fold": [*val.folds, *[-1] * count],
                "reason": pd.Series([None] * 2 * count, dtype="str"),
            }
        ),
        "predictions": _build_predictions(val),
        "label_issues": pd.DataFrame(columns=list(LABEL_ISSUE_DTYPES)).astype(LABEL_ISSUE_DTYPES),
        "probed": pd.DataFrame({"image_id": val.frame["image_id"], "weight": 1.0}),
        "responses": _build_responses(val, interventions),
        "embeddings": rng.normal(0, 1, (2 * count, 8)).astype(np.float32),
        "dose_response": pd.DataFrame(interventions, columns=["remedy", "strength"]).assign(
            accuracy=0.5, low=0.4, high=0.6, repairs=0.1, breaks=0.1
        ),
    }
    unused = dict.fromkeys(("accuracy", "macro_f1", "classes", "confusion", "calibration"))
    return artifacts | {"metrics": unused}


def _build_images(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["image_id", "label", "group", "camera"]].assign(
        content_hash=frame["image_id"],
        path=frame["image_id"] + ".jpg",
        source="/" + frame["image_id"],
        captured_at=pd.Timestamp("2026-01-01"),
        width=16,
        height=16,
        group_source="given",
        given_split=pd.Series([None] * len(frame), dtype="str"),
    )


def _build_predictions(val: ValidationSet) -> pd.DataFrame:
    names = np.array(CLASS_NAMES, dtype=object)
    margins = val.probe_results.margin
    table = pd.DataFrame(
        {
            "image_id": val.frame["image_id"],
            "label": names[val.labels],
            "predicted": names[val.predictions],
            "correct": val.labels == val.predictions,
            "confidence": 0.5 + 0.5 * np.tanh(abs(margins)),
            "margin": margins,
        }
    )
    for position in range(len(CLASS_NAMES)):
        is_predicted = val.predictions == position
        table[f"logit_{position}"] = np.where(is_predicted, abs(margins), 0.0)
    return table


def _build_responses(
    val: ValidationSet, interventions: list[tuple[str, float]]
) -> NDArray[np.int16]:
    """Return the predictions after each intervention; light repairs as the drawn one does."""
    responses = np.repeat(val.predictions[:, None], len(interventions), axis=1)
    is_repaired = val.probe_results.after[:, 0]
    for column, (remedy, strength) in enumerate(interventions):
        if remedy == "exposure" and strength > 1:
            responses[:, column] = np.where(is_repaired, val.labels, val.predictions)
    return responses.astype(np.int16)
