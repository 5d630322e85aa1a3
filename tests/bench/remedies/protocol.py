"""The day-trained GTSRB protocol at 32 px: one run of the product up to its plan, from which every arm starts.

A third of the tracks is the test, as in the official split: the arms' differences are bounded by track, and of an
eighth (until 2026-11-28) only 35 dark ones were there.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.engine import runner
from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.training.holdout_split import (
    find_class_indices,
    select_training_images,
    split_holdout,
)
from pipeline.stages import retrain, train
from pipeline.storage.artifact_store import RunFolder, list_runs
from tests.bench.remedies.network import NAME

CONFIG = """
name: remedies
seed: {seed}
runs: {folder}/runs
reports: {folder}/reports
ingest: {{data: {data}, group: track, side: 32}}
split: {{train_where: luminance >= 70, val: 0.2, test: 0.33}}
train: {{backbone: {backbone}, weights: none, image_passes: 64000, learning_rate: 0.004, dropout: 0.4, max_shift: 0.1}}
evaluate: {{check_labels: false}}
probe: {{max_images: 1600, check_shortcuts: false}}
explain: {{matched_images: 100}}
retrain: {{image_passes: {passes}, learning_rate: 0.001, max_shift: 0.1}}
"""
DARK, VERY_DARK, LIT = 40, 20, 70


class Protocol:
    """Images, splits, the model trained by day, and the plan that the product wrote for it."""

    def __init__(self, data: Path, folder: Path, passes: int, seed: int = 0) -> None:
        """Make the run up to `prescribe`, or take the one that stands in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "config.yaml"
        folders = {"data": data.absolute(), "folder": folder.absolute()}
        config.write_text(CONFIG.format(**folders, passes=passes, seed=seed, backbone=NAME))
        self.config = runner.load_config(config)
        known = list_runs(folder / "runs") if (folder / "runs").is_dir() else []
        run = known[0] if known else runner.create_run_folder(self.config)
        runner.execute_run(run, self.config, to_stage="prescribe")
        self.run = RunFolder.open_existing(run.path)

    @property
    def model(self) -> Path:
        """The folder of the model trained by day."""
        return self.run.get_artifact_path("model")

    @property
    def plan(self) -> pd.DataFrame:
        """What the product wrote."""
        return pd.DataFrame(self.run.load_artifact("plan"))

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The artifact."""
        return np.asarray(self.run.load_artifact("pixels"))

    @property
    def settings(self) -> retrain.Config:
        """Of every arm: the budget, the rate."""
        settings = self.config.stages["retrain"]
        assert isinstance(settings, retrain.Config)
        return settings

    @property
    def learned(self) -> train.Config:
        """How the day's model was trained."""
        settings = self.config.stages["train"]
        assert isinstance(settings, train.Config)
        return settings

    @cached_property
    def images(self) -> pd.DataFrame:
        """The artifact."""
        return pd.DataFrame(self.run.load_artifact("images"))

    @cached_property
    def names(self) -> list[str]:
        """Class names."""
        return list(self.run.load_artifact("classes")["names"])

    @cached_property
    def training_images(self) -> TrainingImages:
        """What every arm learns from.

        The training images, lit all of them, less the holdout of `train`.
        """
        images = select_training_images(
            self.images,
            self.run.load_artifact("splits"),
            self.run.load_artifact("pixels"),
            self.names,
        )
        known = self.run.load_artifact("training").get("holdout") or {"share": 0.1, "seed": 0}
        groups = self.images["group"].to_numpy(dtype=str)[images.image_rows]
        return split_holdout(images, groups, known["share"], known["seed"])[0]

    @cached_property
    def left_out(self) -> TrainingImages:
        """The dark images of the training tracks, which only the oracle sees."""
        out = (self.run.load_artifact("splits")["split"] == "left_out").to_numpy()
        truth = find_class_indices(self.images, self.names)
        rows = np.flatnonzero(out & (self.light < DARK) & (truth >= 0))
        return TrainingImages(self.training_images.pixels, rows, truth[rows])

    @cached_property
    def light(self) -> NDArray[np.float64]:
        """Mean luminance of every image."""
        return np.asarray(self.run.load_artifact("attributes")["luminance"], dtype=np.float64)

    @cached_property
    def test(self) -> NDArray[np.intp]:
        """Rows of the test split."""
        truth = find_class_indices(self.images, self.names)
        return np.flatnonzero(
            (self.run.load_artifact("splits")["split"] == "test").to_numpy() & (truth >= 0)
        )

    @property
    def parts(self) -> dict[str, NDArray[np.bool_]]:
        """bool [test]: by light."""
        light = self.light[self.test]
        return {
            "all": light >= 0,
            "lit": light >= LIT,
            "dark": light < DARK,
            "very dark": light < VERY_DARK,
        }

    def right(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """bool [test]: whether the answers are right."""
        truth = find_class_indices(self.images, self.names)[self.test]
        return np.asarray(logits.argmax(1) == truth, dtype=np.bool_)
