"""The day-trained GTSRB protocol at 32 px: one run of the product up to its plan.

Every arm starts from this run. A third of the tracks is the test set, as in the official split: the
differences between arms are bounded by track, and an eighth held only 35 dark tracks.
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
from tests.bench.remedies.network import BACKBONE_NAME

CONFIG = """
name: remedies
seed: 0
runs: {folder}/runs
reports: {folder}/reports
ingest: {{data: {data}, group: track, side: 32}}
split: {{train_where: luminance >= 70, val: 0.2, test: 0.33}}
train:
  {{backbone: {backbone}, weights: none, image_passes: {day_passes}, learning_rate: 0.004,
   dropout: 0.4, recipe: bare, max_shift: 0.1}}
evaluate: {{check_labels: false}}
probe: {{max_images: 1600, check_shortcuts: false}}
explain: {{matched_images: 100}}
retrain: {{image_passes: {arm_passes}, learning_rate: 0.001}}
"""
DAY_PASSES = 64_000
ARM_PASSES = 6_000
# Mean luminance: an image is dark below the first, very dark below the second, lit from the third.
DARK_LUMINANCE, VERY_DARK_LUMINANCE, LIT_LUMINANCE = 40, 20, 70


class DayTrainedProtocol:
    """Images, splits, the model trained by day, and the plan that the product wrote for it."""

    def __init__(
        self, data: Path, folder: Path, arm_passes: int = ARM_PASSES, day_passes: int = DAY_PASSES
    ) -> None:
        """Make the run up to `prescribe`, or take the one in `folder`.

        Args:
            data: the unpacked traffic signs.
            folder: folder of the run.
            arm_passes: budget of each arm, in image passes.
            day_passes: budget of the model trained by day.
        """
        folder.mkdir(parents=True, exist_ok=True)
        config_file = folder / "config.yaml"
        config_file.write_text(
            CONFIG.format(
                data=data.absolute(),
                folder=folder.absolute(),
                backbone=BACKBONE_NAME,
                arm_passes=arm_passes,
                day_passes=day_passes,
            )
        )
        self.config = runner.load_config(config_file)
        runs = list_runs(folder / "runs") if (folder / "runs").is_dir() else []
        run = runs[0] if runs else runner.create_run_folder(self.config)
        runner.execute_run(run, self.config, to_stage="prescribe")
        self.run = RunFolder.open_existing(run.path)

    @property
    def model_folder(self) -> Path:
        """Return the folder of the model trained by day."""
        return self.run.get_artifact_path("model")

    @property
    def plan(self) -> pd.DataFrame:
        """Return the plan that the product wrote."""
        return pd.DataFrame(self.run.load_artifact("plan"))

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """Return the artifact `pixels`."""
        return np.asarray(self.run.load_artifact("pixels"))

    @property
    def retrain_settings(self) -> retrain.Config:
        """Return the settings of every arm."""
        settings = self.config.stages["retrain"]
        assert isinstance(settings, retrain.Config)
        return settings

    @property
    def train_settings(self) -> train.Config:
        """Return the settings of the model trained by day."""
        settings = self.config.stages["train"]
        assert isinstance(settings, train.Config)
        return settings

    @cached_property
    def images(self) -> pd.DataFrame:
        """Return the artifact `images`."""
        return pd.DataFrame(self.run.load_artifact("images"))

    @cached_property
    def class_names(self) -> list[str]:
        """Return the class names."""
        return list(self.run.load_artifact("classes")["names"])

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Return the class index of each image, -1 without a label."""
        return find_class_indices(self.images, self.class_names)

    @cached_property
    def groups(self) -> NDArray[np.str_]:
        """Return the track of each image."""
        return self.images["group"].to_numpy(dtype=str)

    @cached_property
    def training_images(self) -> TrainingImages:
        """Return the images that every arm trains on: lit images without the holdout of `train`."""
        selected = select_training_images(
            self.images, self.run.load_artifact("splits"), self.pixels, self.class_names
        )
        holdout = self.run.load_artifact("training").get("holdout") or {"share": 0.1, "seed": 0}
        groups = self.groups[selected.image_rows]
        return split_holdout(selected, groups, holdout["share"], holdout["seed"])[0]

    @cached_property
    def oracle_images(self) -> TrainingImages:
        """Return the dark images of the training tracks, for the oracle only."""
        is_dark = self.luminance < DARK_LUMINANCE
        rows = np.flatnonzero(self.find_split_mask("left_out") & is_dark & (self.labels >= 0))
        return TrainingImages(self.training_images.pixels, rows, self.labels[rows])

    @cached_property
    def luminance(self) -> NDArray[np.float64]:
        """Return the mean luminance of every image."""
        return np.asarray(self.run.load_artifact("attributes")["luminance"], dtype=np.float64)

    def find_split_mask(self, split: str) -> NDArray[np.bool_]:
        """Return bool [images]: the images of a split."""
        return np.asarray(self.run.load_artifact("splits")["split"] == split)

    @cached_property
    def test_rows(self) -> NDArray[np.intp]:
        """Return the rows of the labeled images of the test set."""
        return np.flatnonzero(self.find_split_mask("test") & (self.labels >= 0))

    @property
    def subsets(self) -> dict[str, NDArray[np.bool_]]:
        """Return bool [test] by luminance."""
        luminance = self.luminance[self.test_rows]
        return {
            "all": luminance >= 0,
            "lit": luminance >= LIT_LUMINANCE,
            "dark": luminance < DARK_LUMINANCE,
            "very dark": luminance < VERY_DARK_LUMINANCE,
        }

    def compute_correctness(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """Return bool [test]: whether the predictions are correct."""
        return np.asarray(logits.argmax(1) == self.labels[self.test_rows], dtype=np.bool_)
