"""Small drawn images whose class a small network can learn in seconds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline.contracts import DimensionSizes, StageContext
from pipeline.graph import ARTIFACT_CONTRACTS, get_stage
from pipeline.learning.training.batch_sampling import TrainingImages

torch.set_num_threads(1)
META = {"classes": ["lying", "standing"], "mean": [0.5] * 3, "std": [0.5] * 3}
NAMES = ["lying", "square", "standing"]


def draw(count: int, seed: int = 0, side: int = 32, classes: int = 2) -> TrainingImages:
    """A bright bar that lies (class 0), stands (1) or is a square (2), anywhere on a noisy wall."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(60, 100, (count, side, side, 3), dtype=np.uint8)
    labels = np.arange(count) % classes
    for image, label in zip(pixels, labels, strict=True):
        high, wide = ((5, 18), (18, 5), (10, 10))[label]
        top, left = rng.integers(1, side - high), rng.integers(1, side - wide)
        image[top : top + high, left : left + wide] += np.uint8(120)
    return TrainingImages(pixels, np.arange(count), labels.astype(np.int64))


@dataclass
class World:
    """The artifacts that the learning stages need: groups of two frames, six of ten in train."""

    groups: int = 60
    classes: int = 2
    seed: int = 0
    names: list[str] = field(default_factory=lambda: ["lying", "standing"])

    def __post_init__(self) -> None:
        rng, n = np.random.default_rng(self.seed), 2 * self.groups
        images = draw(n, self.seed, classes=self.classes)
        kind = np.repeat(rng.permutation(self.groups) % self.classes, 2)
        order = np.concatenate([np.flatnonzero(images.labels == k) for k in range(self.classes)])
        self.pixels = images.pixels[
            order[np.argsort(np.argsort(kind, kind="stable"), kind="stable")]
        ]
        group = np.repeat(np.arange(self.groups), 2)
        part = np.array(["train"] * 6 + ["val"] * 3 + ["test"])[group % 10]
        ids = [f"i{k:04d}" for k in range(n)]
        label = np.array(self.names, dtype=object)[kind]
        labels, none = pd.Series(label, dtype="str"), pd.Series([None] * n, dtype="str")
        self.images = pd.DataFrame(
            {"image_id": ids, "label": labels, "group": [f"g{g}" for g in group]}
        )
        fold = np.where(part == "val", group % 5, -1)
        self.splits = pd.DataFrame({"image_id": ids, "split": part, "fold": fold, "reason": none})
        kinds = dict.fromkeys(("image_id", "other_id", "kind"), "str") | {"distance": "int64"}
        kinds |= {"same_label": "bool", "across_splits": "bool"}
        self.duplicates = pd.DataFrame(columns=list(kinds)).astype(kinds)
        self.made: dict[str, Any] = {}

    def run(
        self, module: Any, home: Path, config: Any, track: Any = None
    ) -> tuple[dict[str, Any], list[str]]:
        """Run a stage on these artifacts and on what earlier stages made of them; check what it makes."""
        scratch = home / "run" / f".work-{module.__name__.rpartition('.')[2]}"
        scratch.mkdir(parents=True, exist_ok=True)
        context = StageContext("run", 0, scratch, home, **({"track": track} if track else {}))
        here = {
            "images": self.images,
            "pixels": self.pixels,
            "splits": self.splits,
            "duplicates": self.duplicates,
            "classes": {"names": self.names},
            **self.made,
        }
        item = get_stage(module.__name__.rpartition(".")[2])
        made = module.run(config, context, **{need: here[need] for need in item.needs})
        assert set(made) == set(item.makes)
        dims: DimensionSizes = {}
        for name, value in made.items():
            ARTIFACT_CONTRACTS[name].check_value(name, value, dims)
        self.made |= made
        return made, context.notes
