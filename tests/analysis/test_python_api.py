"""`pipeline.analyze`: a Python function as the model, with and without a table of predictions."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import pipeline
from pipeline.contracts import InputError
from tests.analysis.planted_predictions import (
    LYING_CUT,
    STEEPNESS,
    measure_spread,
    write_analysis_inputs,
)


def _predict(images: list[np.ndarray]) -> np.ndarray:
    spread = np.array([measure_spread(image[None].astype(float))[0] for image in images])
    standing = STEEPNESS * (spread - LYING_CUT)
    return np.stack([standing, -standing], 1)


def test_a_function_alone_is_analyzed_and_probed(tmp_path: Path) -> None:
    write_analysis_inputs(tmp_path, visits=240)
    page = pipeline.analyze(
        tmp_path / "M.csv",
        predict=_predict,
        classes=["standing", "lying"],
        output=tmp_path / "out",
        side=64,
    )
    summary = json.loads((page.parent / "summary.json").read_text(encoding="utf-8"))
    assert summary["probed"] == len(pd.read_csv(tmp_path / "M.csv"))
    assert summary["slices"][0]["confidence"] == "proved by intervention"
    given = pd.read_parquet(tmp_path / "P.parquet").set_index("image_id")
    wrong = (given["logit_standing"] > 0).mean()
    assert 0.2 < wrong < 0.8
    table = pd.read_parquet(page.parent / "slices.parquet")
    assert table["cause"].iloc[0] in ("exposure", "contrast")


def test_predictions_of_another_model_and_missing_parts_are_one_line(tmp_path: Path) -> None:
    write_analysis_inputs(tmp_path, visits=20)
    images = tmp_path / "M.csv"
    with pytest.raises(InputError, match=r"predict: answers as the predictions do for \d+% of"):
        pipeline.analyze(
            images, _predict, predictions=tmp_path / "P.parquet", output=tmp_path / "out"
        )
    with pytest.raises(InputError, match="no function to predict with"):
        pipeline.analyze(images)
    with pytest.raises(InputError, match="give one of them"):
        pipeline.analyze(images, _predict, model="m.onnx")
    with pytest.raises(InputError, match="'lying' is not among `classes`"):
        pipeline.analyze(images, _predict, classes=["standing", "sitting"])
    assert not (tmp_path / "out").exists()
