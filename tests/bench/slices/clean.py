"""One clean model for each data set, and all that it says of val as it is.

Computed once, kept on disk.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.attributes import measure_images
from pipeline.learning.batches.batch_sampling import TrainingImages as Training
from pipeline.learning.inference.model_outputs import compute_logits, extract_features
from pipeline.learning.models.backbone import build_network, load_model, save_model
from pipeline.learning.training.holdout_split import find_class_indices
from pipeline.learning.training.training_loop import fit_network
from pipeline.learning.training_settings import FitSettings
from pipeline.remedies import apply_remedy, list_interventions
from pipeline.statistics.group_sampling import sample_by_group
from tests.bench.slices.benchmark_images import READ, SIDE, Images
from tests.conftest import DATA, ROOT

PASSES = {"gtsrb": 9_500, "flowers": 10_000}
PROBED = 700
ROOTS = {"gtsrb": "NIGHTSHIFT_GTSRB", "flowers": "NIGHTSHIFT_FLOWERS"}
DEFAULTS = {"gtsrb": ROOT / "data" / "gtsrb", "flowers": DATA / "flowers"}


@dataclass(frozen=True)
class Answers:
    """Of images [n]: logits [n, C], features [n, D], attributes [n rows]; of those in the probe's sample, in order:
    probed [m, interventions, C] float16."""

    logits: NDArray[np.float32]
    probed: NDArray[np.float16]
    features: NDArray[np.float32]
    attributes: pd.DataFrame


class Clean:
    """The clean model of one data set with val as it is."""

    probed = PROBED  # images of val

    def __init__(self, name: str, cache: Path) -> None:
        self.name, self.cache, self.passes = name, cache / name, PASSES[name]
        self.cache.mkdir(parents=True, exist_ok=True)

    @cached_property
    def images(self) -> Images:
        """The images, read once."""
        file = self.cache / "images.npz"
        if not file.exists():
            root = Path(os.environ.get(ROOTS[self.name], DEFAULTS[self.name]))
            if not root.is_dir():
                raise SystemExit(
                    f"{root}: no such folder; {ROOTS[self.name]} names the unpacked images"
                )
            read = READ[self.name](root)
            np.savez(file, **vars(read))
        return Images(**np.load(file))

    @cached_property
    def val(self) -> NDArray[np.intp]:
        """Rows of val."""
        return np.flatnonzero(~self.images.train)

    @cached_property
    def model(self) -> tuple[Any, dict[str, Any]]:
        """The network and its description, trained on the training part as it is."""
        folder = self.cache / "model"
        if not folder.exists():
            train = np.flatnonzero(self.images.train)
            labels = find_class_indices(
                pd.DataFrame({"label": self.images.labels[train]}), self.images.names
            )
            model, meta = build_network(
                "tf_efficientnet_lite0", "packaged", self.images.names, SIDE, 0.0, seed=0
            )
            settings = FitSettings(image_passes=self.passes, learning_rate=0.002, max_shift=0.06)
            scratch = self.cache / "training"
            scratch.mkdir(exist_ok=True)
            images = Training(self.images.pixels, train, labels)
            save_model(
                folder,
                fit_network(model, meta, images, settings, seed=0, scratch_folder=scratch).model,
                meta,
            )
        return load_model(folder)

    @cached_property
    def sample(self) -> NDArray[np.bool_]:
        """bool [val]: the images that are probed, taken round robin over groups, as the probe does."""
        groups = self.images.groups[self.val]
        rows = sample_by_group(
            groups, np.arange(len(groups)), self.probed, np.random.default_rng(1)
        )
        return np.isin(np.arange(len(groups)), rows)

    def ask(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits float32 [n, C]."""
        model, meta = self.model
        return compute_logits(model, pixels, meta)

    def answers(self, key: str, pixels: NDArray[np.uint8], sampled: NDArray[np.bool_]) -> Answers:
        """What the model says of these images, and of the sampled after each intervention; kept under `key` and a
        hash of what went in."""
        parts = (repr(list_interventions()).encode(), pixels.tobytes(), sampled.tobytes())
        file = self.cache / f"{key}-{hashlib.sha256(b''.join(parts)).hexdigest()[:12]}.npz"
        if not file.exists():
            part = pixels[sampled]
            after = [
                self.ask(apply_remedy(name, part, strength, strength, 7))
                for name, strength in list_interventions()
            ]
            table = measure_images(pixels)
            values = {
                "attributes": table.to_numpy(),
                "columns": list(table),
                "probed": np.stack(after, 1).astype(np.float16),
            }
            np.savez(
                file,
                logits=self.ask(pixels),
                features=extract_features(pixels).astype(np.float16),
                **values,
            )
        stored = np.load(file)
        table = pd.DataFrame(stored["attributes"], columns=stored["columns"].tolist())
        return Answers(
            stored["logits"], stored["probed"], stored["features"].astype(np.float32), table
        )

    @cached_property
    def as_they_are(self) -> Answers:
        """val unplanted."""
        return self.answers("val", self.images.pixels[self.val], self.sample)
