"""The artifacts around the finder, drawn from numbers with a planted dark slice (see tests/slicing/conftest.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import remedies
from tests.slices.conftest import draw_val

CLASS_NAMES = ["a", "b", "c"]


def make_finder_artifacts(seed: int = 0, **options: Any) -> dict[str, Any]:
    """What cluster, explain and prescribe need, by name: val as drawn, and as many training images beside it."""
    planted = draw_val(seed, **options)
    val, n = planted.val, len(planted.val.frame)
    rng = np.random.default_rng(seed)
    frame = pd.concat(
        [
            val.frame,
            val.frame.assign(
                image_id=[f"t{k}" for k in range(n)],
                group=[f"t{g}" for g in val.frame["group"]],
                luminance=rng.normal(120, 6, n),
                hour=rng.uniform(8, 17, n),
            ),
        ],
        ignore_index=True,
    )
    images = frame[["image_id", "label", "group", "camera"]].assign(
        content_hash=frame["image_id"],
        path=frame["image_id"] + ".jpg",
        source="/" + frame["image_id"],
        captured_at=pd.Timestamp("2026-01-01"),
        width=16,
        height=16,
        given_split=pd.Series([None] * 2 * n, dtype="str"),
    )
    truth, guess = val.labels, val.predictions
    interventions = remedies.list_interventions()
    helps = [i for i, (name, strength) in enumerate(interventions) if name == "exposure" and strength > 1]
    responses = np.repeat(guess[:, None], len(interventions), axis=1).astype(np.int16)
    responses[:, helps] = np.where(val.probe_results.after[:, :1], truth[:, None], guess[:, None])
    signatures = rng.normal(0, 0.1, responses.shape).astype(np.float32)
    signatures[:, helps] += val.signatures[:, :1]
    return {
        "images": images,
        "attributes": frame[["image_id", "luminance", "sharpness", "hour"]],
        "marks": frame[["image_id"]].copy(),
        "pixels": rng.integers(0, 255, (2 * n, 16, 16, 3), dtype=np.uint8),
        "classes": {"names": CLASS_NAMES},
        "model": Path("model"),
        "training": {"holdout": {"share": 0.2, "seed": 0}},
        "metrics": {
            "accuracy": None,
            "macro_f1": None,
            "classes": [],
            "confusion": [],
            "calibration": {},
        },
        "splits": pd.DataFrame(
            {
                "image_id": frame["image_id"],
                "split": ["val"] * n + ["train"] * n,
                "fold": [*val.folds, *[-1] * n],
                "reason": pd.Series([None] * 2 * n, dtype="str"),
            }
        ),
        "predictions": pd.DataFrame(
            {
                "image_id": val.frame["image_id"],
                "label": [CLASS_NAMES[t] for t in truth],
                "predicted": [CLASS_NAMES[g] for g in guess],
                "correct": truth == guess,
                "confidence": 0.5 + 0.5 * np.tanh(abs(val.probe_results.margin)),
                "margin": val.probe_results.margin,
                **{
                    f"logit_{k}": np.where(guess == k, abs(val.probe_results.margin), 0.0)
                    for k in range(len(CLASS_NAMES))
                },
            }
        ),
        "embeddings": rng.normal(0, 1, (2 * n, 8)).astype(np.float32),
        "label_issues": pd.DataFrame(
            {
                c: pd.Series([], dtype=t)
                for c, t in (
                    ("image_id", "str"),
                    ("label", "str"),
                    ("suggested", "str"),
                    ("confidence", "float"),
                    ("kind", "str"),
                    ("split", "str"),
                )
            }
        ),
        "probed": pd.DataFrame({"image_id": val.frame["image_id"], "weight": 1.0}),
        "signatures": signatures,
        "responses": responses,
        "dose_response": pd.DataFrame(interventions, columns=["remedy", "strength"]).assign(
            accuracy=0.5, low=0.4, high=0.6, repairs=0.1, breaks=0.1
        ),
    }
