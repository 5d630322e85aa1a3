"""Predictions made elsewhere, on photos of a small planted night: a pretended model that reads light bars only."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from tests.night import draw, photo

LIGHT = 45.0  # mean of the photo below which the pretended model guesses


def given(folder: Path, *, night: bool = True, seed: int = 0, visits: int = 240) -> tuple[pd.DataFrame, pd.DataFrame]:
    """M and P of photos written into `folder`; the model is wrong on half of the dark and on 5 % of the rest."""
    rng = np.random.default_rng(seed)
    table = pd.read_csv(draw(folder, visits, 2, night, seed) / "metadata.csv", dtype={"label": str})
    light = np.array([cv2.imread(str(folder / name)).mean() for name in table["file_name"]])
    wrong = rng.random(len(table)) < np.where(night & (light < LIGHT), 0.5, 0.05)
    standing = (table["label"] == "standing") ^ wrong
    share = np.where(standing, rng.uniform(0.6, 0.99, len(table)), rng.uniform(0.01, 0.4, len(table)))
    ids = [f"p{k:04d}" for k in range(len(table))]
    images = table.rename(columns={"file_name": "path"}).assign(image_id=ids).drop(columns="split")
    return images, pd.DataFrame({"image_id": ids, "prob_lying": 1 - share, "prob_standing": share})


def write(folder: Path, images: pd.DataFrame, predictions: pd.DataFrame) -> list[str]:
    """M.csv and P.parquet in `folder`, and the arguments that name them."""
    images.to_csv(folder / "M.csv", index=False)
    predictions.to_parquet(folder / "P.parquet")
    return ["--images", str(folder / "M.csv"), "--predictions", str(folder / "P.parquet"), "-o", str(folder / "out")]


__all__ = ["given", "photo", "write"]
