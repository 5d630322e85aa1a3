"""One clean model for each data set, and its outputs on val without a planted cause.

They are computed once and kept on disk.
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
from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.inference.model_outputs import compute_logits, extract_features
from pipeline.learning.models.backbone import build_network, load_model, save_model
from pipeline.learning.training.holdout_split import find_class_indices
from pipeline.learning.training.training_loop import fit_network
from pipeline.learning.training_settings import FitSettings
from pipeline.remedies import apply_remedy, list_interventions
from pipeline.statistics.group_sampling import sample_by_group
from tests.bench.slices.benchmark_images import READERS, SIDE, BenchmarkImages
from tests.conftest import DATA, ROOT

IMAGE_PASSES = {"gtsrb": 9_500, "flowers": 10_000}
PROBED_IMAGES = 700
FOLDER_VARIABLES = {"gtsrb": "NIGHTSHIFT_GTSRB", "flowers": "NIGHTSHIFT_FLOWERS"}
DEFAULT_FOLDERS = {"gtsrb": ROOT / "data" / "gtsrb", "flowers": DATA / "flowers"}


@dataclass(frozen=True)
class ModelOutputs:
    """Outputs of a model on images.

    Attributes:
        logits: float32 [images, classes].
        probe_logits: float16 [probed, interventions, classes], for the probed images in order.
        features: float32 [images, features].
        attributes: one row for each image.
    """

    logits: NDArray[np.float32]
    probe_logits: NDArray[np.float16]
    features: NDArray[np.float32]
    attributes: pd.DataFrame


class CleanModel:
    """The model of one data set without a planted cause.

    Attributes:
        name: name of the data set.
        cache: folder of everything that is kept.
        image_passes: budget of its training.
        probed_images: images of val that are probed.
    """

    probed_images = PROBED_IMAGES

    def __init__(self, name: str, cache: Path) -> None:
        """Use a data set by name, with a folder in `cache`."""
        self.name, self.cache, self.image_passes = name, cache / name, IMAGE_PASSES[name]
        self.cache.mkdir(parents=True, exist_ok=True)

    @cached_property
    def images(self) -> BenchmarkImages:
        """Return the images, which are read once."""
        file = self.cache / "images.npz"
        if not file.exists():
            variable = FOLDER_VARIABLES[self.name]
            root = Path(os.environ.get(variable, DEFAULT_FOLDERS[self.name]))
            if not root.is_dir():
                raise SystemExit(f"{root}: no such folder; {variable} names the unpacked images")
            np.savez(file, **vars(READERS[self.name](root)))
        return BenchmarkImages(**np.load(file))

    @cached_property
    def val_rows(self) -> NDArray[np.intp]:
        """Return the rows of val."""
        return np.flatnonzero(~self.images.is_training)

    @property
    def val_labels(self) -> NDArray[np.intp]:
        """Return the class index of each image of val."""
        labels = pd.Index(self.images.labels[self.val_rows])
        return pd.Index(self.images.class_names).get_indexer(labels).astype(np.intp)

    @property
    def val_groups(self) -> NDArray[np.str_]:
        """Return the group of each image of val."""
        return self.images.groups[self.val_rows]

    @property
    def val_pixels(self) -> NDArray[np.uint8]:
        """Return the pixels of val."""
        return self.images.pixels[self.val_rows]

    @cached_property
    def model(self) -> tuple[Any, dict[str, Any]]:
        """Return the network and its metadata; it is trained once."""
        folder = self.cache / "model"
        if not folder.exists():
            self._train_model(folder)
        return load_model(folder)

    def _train_model(self, folder: Path) -> None:
        images = self.images
        rows = np.flatnonzero(images.is_training)
        label_table = pd.DataFrame({"label": images.labels[rows]})
        labels = find_class_indices(label_table, images.class_names)
        network, meta = build_network(
            "tf_efficientnet_lite0", "packaged", images.class_names, SIDE, 0.0, seed=0
        )
        settings = FitSettings(
            recipe="bare", image_passes=self.image_passes, learning_rate=0.002, max_shift=0.06
        )
        scratch = self.cache / "training"
        scratch.mkdir(exist_ok=True)
        training_images = TrainingImages(images.pixels, rows, labels)
        fitted = fit_network(
            network, meta, training_images, settings, seed=0, scratch_folder=scratch
        )
        save_model(folder, fitted.model, meta)

    @cached_property
    def probed_mask(self) -> NDArray[np.bool_]:
        """Return bool [val]: the probed images, drawn round robin over groups as `probe` does."""
        groups = self.val_groups
        all_rows = np.arange(len(groups))
        rng = np.random.default_rng(1)
        return np.isin(all_rows, sample_by_group(groups, all_rows, self.probed_images, rng))

    def predict_logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return logits, float32 [images, classes]."""
        network, meta = self.model
        return compute_logits(network, pixels, meta)

    def load_outputs(
        self, key: str, pixels: NDArray[np.uint8], probed_mask: NDArray[np.bool_]
    ) -> ModelOutputs:
        """Return the model's outputs on images, computed once.

        Args:
            key: start of the file name; a hash of the inputs follows.
            pixels: uint8 [images, side, side, 3].
            probed_mask: bool [images], the images to which each intervention is applied.
        """
        inputs = (repr(list_interventions()).encode(), pixels.tobytes(), probed_mask.tobytes())
        digest = hashlib.sha256(b"".join(inputs)).hexdigest()
        file = self.cache / f"{key}-{digest[:12]}.npz"
        if not file.exists():
            self._save_outputs(file, pixels, probed_mask)
        stored = np.load(file)
        return ModelOutputs(
            stored["logits"],
            stored["probe_logits"],
            stored["features"].astype(np.float32),
            pd.DataFrame(stored["attributes"], columns=stored["columns"].tolist()),
        )

    def _save_outputs(
        self, file: Path, pixels: NDArray[np.uint8], probed_mask: NDArray[np.bool_]
    ) -> None:
        probe_logits = []
        for remedy, strength in list_interventions():
            treated = apply_remedy(remedy, pixels[probed_mask], strength, strength, 7)
            probe_logits.append(self.predict_logits(treated))
        attributes = measure_images(pixels)
        np.savez(
            file,
            logits=self.predict_logits(pixels),
            probe_logits=np.stack(probe_logits, 1).astype(np.float16),
            features=extract_features(pixels).astype(np.float16),
            attributes=attributes.to_numpy(),
            columns=list(attributes),
        )

    @cached_property
    def val_outputs(self) -> ModelOutputs:
        """Return the outputs on val without a planted cause."""
        return self.load_outputs("val", self.val_pixels, self.probed_mask)
