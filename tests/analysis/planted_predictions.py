"""Planted predictions of a model that misses standing bars in the dark, on a small data set."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper

from pipeline.cli.app import main
from tests.night import SIDE, draw

LYING_CUT = 0.0012  # difference of variances below which the model predicts `lying`
STEEPNESS = 400.0  # logit for each unit of the difference
NOISE_SHARE = 0.15  # share of failures without a common cause, if no night is planted


def measure_spread(pixels: np.ndarray) -> np.ndarray:
    """Return how much more the columns of images [N, S, S, 3] vary than their rows, in [0, 1]."""
    gray = pixels.mean(3) / 255
    return gray.mean(1).var(1) - gray.mean(2).var(1)


def export_onnx_classifier(path: Path) -> Path:
    """Write `measure_spread` and the cut as an ONNX classifier of two classes; return its path.

    Its input is scaled from 0 to 1.
    """
    nodes = [helper.make_node("ReduceMean", ["x"], ["gray"], axes=[1], keepdims=0)]
    for name, axis in (("columns", 1), ("rows", 2)):
        nodes += [
            helper.make_node("ReduceMean", ["gray"], [name], axes=[axis], keepdims=0),
            helper.make_node("ReduceMean", [name], [f"{name}_mean"], axes=[1], keepdims=1),
            helper.make_node("Sub", [name, f"{name}_mean"], [f"{name}_off"]),
            helper.make_node("Mul", [f"{name}_off", f"{name}_off"], [f"{name}_square"]),
            helper.make_node(
                "ReduceMean", [f"{name}_square"], [f"{name}_var"], axes=[1], keepdims=1
            ),
        ]
    nodes += [
        helper.make_node("Sub", ["columns_var", "rows_var"], ["spread"]),
        helper.make_node("Sub", ["spread", "cut"], ["over"]),
        helper.make_node("Mul", ["over", "steep"], ["standing"]),
        helper.make_node("Neg", ["standing"], ["lying"]),
        helper.make_node("Concat", ["lying", "standing"], ["scores"], axis=1),
    ]
    constants = [
        helper.make_tensor("cut", TensorProto.FLOAT, [1], [LYING_CUT]),
        helper.make_tensor("steep", TensorProto.FLOAT, [1], [STEEPNESS]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2])]
    model = helper.make_model(
        helper.make_graph(nodes, "bars", inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    onnx.save(model, str(path))
    return path


def write_analysis_inputs(
    folder: Path, *, night: bool = True, seed: int = 0, visits: int = 150
) -> list[str]:
    """Write images, M.csv and P.parquet; return the arguments of `analyze` that name them."""
    table = pd.read_csv(draw(folder, visits, 2, night, seed) / "metadata.csv", dtype={"label": str})
    pixels = np.stack([cv2.imread(str(folder / name))[:, :, ::-1] for name in table["file_name"]])
    standing = STEEPNESS * (measure_spread(pixels.astype(np.float64)) - LYING_CUT)
    noise_share = 0.0 if night else NOISE_SHARE
    is_flipped = np.random.default_rng(seed).random(len(table)) < noise_share
    standing = np.where(is_flipped, -standing, standing)
    ids = [f"p{k:04d}" for k in range(len(table))]
    images = table.rename(columns={"file_name": "path"}).assign(image_id=ids).drop(columns="split")
    images.to_csv(folder / "M.csv", index=False)
    scores = pd.DataFrame({"image_id": ids, "logit_lying": -standing, "logit_standing": standing})
    scores.sample(frac=1, random_state=1).to_parquet(folder / "P.parquet")
    return [
        "--images",
        str(folder / "M.csv"),
        "--predictions",
        str(folder / "P.parquet"),
        "-o",
        str(folder / "out"),
    ]


def run_analyze(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Return the exit code of `nightshift analyze` with these arguments."""
    monkeypatch.setattr("sys.argv", ["nightshift", "analyze", *arguments])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0
