"""One clean model for each data set, and all that it says of val as it is: computed once, kept on disk."""

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

from pipeline.attributes import measure
from pipeline.learning.backbone import build, load_model, save_model
from pipeline.learning.batches import Photos as Training
from pipeline.learning.fit import fit
from pipeline.learning.holdout import class_indices
from pipeline.learning.predict import features, logits
from pipeline.learning.settings import FitSettings
from pipeline.remedies import interventions, treat
from pipeline.slicing.pool import sample
from tests.bench.slices.photos import READ, SIDE, Photos
from tests.conftest import DATA, ROOT

PASSES = {"gtsrb": 9_500, "flowers": 10_000}
PROBED = 700
ROOTS = {"gtsrb": "NIGHTSHIFT_GTSRB", "flowers": "NIGHTSHIFT_FLOWERS"}
DEFAULTS = {"gtsrb": ROOT / "data" / "gtsrb", "flowers": DATA / "flowers"}


@dataclass(frozen=True)
class Answers:
    """Of photos [n]: logits [n, C], features [n, D], attributes [n rows]; of those in the probe's sample, in order:
    probed [m, interventions, C] float16."""

    logits: NDArray[np.float32]
    probed: NDArray[np.float16]
    features: NDArray[np.float32]
    attributes: pd.DataFrame


class Clean:
    """The clean model of one data set with val as it is."""

    probed = PROBED  # photos of val

    def __init__(self, name: str, cache: Path) -> None:
        self.name, self.cache, self.passes = name, cache / name, PASSES[name]
        self.cache.mkdir(parents=True, exist_ok=True)

    @cached_property
    def photos(self) -> Photos:
        """The photos, read once."""
        file = self.cache / "photos.npz"
        if not file.exists():
            root = Path(os.environ.get(ROOTS[self.name], DEFAULTS[self.name]))
            if not root.is_dir():
                raise SystemExit(f"{root}: no such folder; {ROOTS[self.name]} names the unpacked photos")
            read = READ[self.name](root)
            np.savez(file, **vars(read))
        return Photos(**np.load(file))

    @cached_property
    def val(self) -> NDArray[np.intp]:
        """Rows of val."""
        return np.flatnonzero(~self.photos.train)

    @cached_property
    def model(self) -> tuple[Any, dict[str, Any]]:
        """The network and its description, trained on the training part as it is."""
        folder = self.cache / "model"
        if not folder.exists():
            train = np.flatnonzero(self.photos.train)
            labels = class_indices(pd.DataFrame({"label": self.photos.labels[train]}), self.photos.names)
            model, meta = build("tf_efficientnet_lite0", "packaged", self.photos.names, SIDE, 0.0, seed=0)
            settings = FitSettings(passes=self.passes, rate=0.002, shift=0.06)
            scratch = self.cache / "training"
            scratch.mkdir(exist_ok=True)
            photos = Training(self.photos.pixels, train, labels)
            save_model(folder, fit(model, meta, photos, settings, seed=0, scratch=scratch).model, meta)
        return load_model(folder)

    @cached_property
    def sample(self) -> NDArray[np.bool_]:
        """bool [val]: the photos that are probed, taken round robin over groups, as the probe does."""
        groups = self.photos.groups[self.val]
        rows = sample(groups, np.arange(len(groups)), self.probed, np.random.default_rng(1))
        return np.isin(np.arange(len(groups)), rows)

    def ask(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits float32 [n, C]."""
        model, meta = self.model
        return logits(model, pixels, meta)

    def answers(self, key: str, pixels: NDArray[np.uint8], sampled: NDArray[np.bool_]) -> Answers:
        """What the model says of these photos, and of the sampled after each intervention; kept under `key` and a
        hash of what went in."""
        parts = (repr(interventions()).encode(), pixels.tobytes(), sampled.tobytes())
        file = self.cache / f"{key}-{hashlib.sha256(b''.join(parts)).hexdigest()[:12]}.npz"
        if not file.exists():
            part = pixels[sampled]
            after = [self.ask(treat(name, part, dose, dose, 7)) for name, dose in interventions()]
            table = measure(pixels)
            values = {
                "attributes": table.to_numpy(),
                "columns": list(table),
                "probed": np.stack(after, 1).astype(np.float16),
            }
            np.savez(file, logits=self.ask(pixels), features=features(pixels).astype(np.float16), **values)
        stored = np.load(file)
        table = pd.DataFrame(stored["attributes"], columns=stored["columns"].tolist())
        return Answers(stored["logits"], stored["probed"], stored["features"].astype(np.float32), table)

    @cached_property
    def as_they_are(self) -> Answers:
        """val unplanted."""
        return self.answers("val", self.photos.pixels[self.val], self.sample)
