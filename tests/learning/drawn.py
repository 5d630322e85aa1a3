"""Small drawn images of two or three classes that a small network learns within seconds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline.contracts import DimensionSizes, StageContext
from pipeline.graph import ARTIFACT_CONTRACTS, get_stage
from pipeline.learning.batches.batch_sampling import TrainingImages

torch.set_num_threads(1)
MODEL_META = {"classes": ["lying", "standing"], "mean": [0.5] * 3, "std": [0.5] * 3}
CLASS_NAMES = ["lying", "square", "standing"]
BAR_SIZES = ((5, 18), (18, 5), (10, 10))
"""Height and width of the bar of each class index, in px."""


def draw_images(count: int, seed: int = 0, side: int = 32, class_count: int = 2) -> TrainingImages:
    """Draw a bright bar at a random place on a noisy wall; its shape is the class.

    Class 0 is horizontal, class 1 vertical, class 2 a square.
    """
    rng = np.random.default_rng(seed)
    pixels = rng.integers(60, 100, (count, side, side, 3), dtype=np.uint8)
    labels = np.arange(count) % class_count
    for image, label in zip(pixels, labels, strict=True):
        height, width = BAR_SIZES[label]
        top = rng.integers(1, side - height)
        left = rng.integers(1, side - width)
        image[top : top + height, left : left + width] += np.uint8(120)
    return TrainingImages(pixels, np.arange(count), labels.astype(np.int64))


@dataclass
class LearningArtifacts:
    """The artifacts that the learning stages need, and what these stages make of them.

    Groups have two images each. Of ten groups six are in train, three in val and one in test.
    """

    group_count: int = 60
    class_count: int = 2
    seed: int = 0
    class_names: list[str] = field(default_factory=lambda: ["lying", "standing"])

    def __post_init__(self) -> None:
        """Draw the images, and assign groups, labels and splits."""
        rng = np.random.default_rng(self.seed)
        image_count = 2 * self.group_count
        images = draw_images(image_count, self.seed, class_count=self.class_count)
        labels = np.repeat(rng.permutation(self.group_count) % self.class_count, 2)
        rows_by_label = np.argsort(images.labels, kind="stable")
        rank_by_label = np.argsort(np.argsort(labels, kind="stable"), kind="stable")
        self.pixels = images.pixels[rows_by_label[rank_by_label]]
        groups = np.repeat(np.arange(self.group_count), 2)
        split = np.array(["train"] * 6 + ["val"] * 3 + ["test"])[groups % 10]
        image_ids = [f"i{row:04d}" for row in range(image_count)]
        label_names = pd.Series(np.array(self.class_names, dtype=object)[labels], dtype="str")
        self.images = pd.DataFrame(
            {
                "image_id": image_ids,
                "label": label_names,
                "group": [f"g{group}" for group in groups],
                "width": 32,
                "height": 32,
            }
        )
        self.splits = pd.DataFrame(
            {
                "image_id": image_ids,
                "split": split,
                "fold": np.where(split == "val", groups % 5, -1),
                "reason": pd.Series([None] * image_count, dtype="str"),
            }
        )
        duplicate_columns = {
            "image_id": "str",
            "other_id": "str",
            "kind": "str",
            "distance": "int64",
            "same_label": "bool",
            "across_splits": "bool",
        }
        self.duplicates = pd.DataFrame(columns=list(duplicate_columns)).astype(duplicate_columns)
        self.outputs: dict[str, Any] = {}

    def run_stage(
        self, module: Any, home: Path, config: Any, track: Any = None, run_id: str = "run"
    ) -> tuple[dict[str, Any], list[str]]:
        """Run a stage, check what it makes against its contracts, and return that and its notes.

        The stage gets these artifacts and the outputs of the stages that ran before.
        """
        stage_name = module.__name__.rpartition(".")[2]
        scratch_folder = home / run_id / f".work-{stage_name}"
        scratch_folder.mkdir(parents=True, exist_ok=True)
        options = {"track_progress": track} if track else {}
        context = StageContext(run_id, 0, scratch_folder, home, **options)
        artifacts = {
            "images": self.images,
            "pixels": self.pixels,
            "splits": self.splits,
            "duplicates": self.duplicates,
            "classes": {"names": self.class_names},
            **self.outputs,
        }
        stage = get_stage(stage_name)
        outputs = module.run(config, context, **{need: artifacts[need] for need in stage.needs})
        assert set(outputs) == set(stage.makes)
        dimensions: DimensionSizes = {}
        for name, value in outputs.items():
            ARTIFACT_CONTRACTS[name].check_value(name, value, dimensions)
        self.outputs |= outputs
        return outputs, context.notes
