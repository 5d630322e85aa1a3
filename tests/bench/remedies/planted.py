"""The planted suite: a held-out cause in real lit images of val and of the test, and none in train.

The day's model and its splits are the protocol's; a share of the tracks of val and of the test has the cause, in whole.
The product proposes, confirms, names and prescribes by its own stages; the arms start from the day's model.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.attributes import list_attributes, measure_images
from pipeline.contracts import StageContext
from pipeline.data.reading.file_attributes import PIXEL_SOURCES
from pipeline.graph import get_stage
from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.inference.model_outputs import compute_logits, extract_features
from pipeline.learning.inference.prediction_table import build_predictions
from pipeline.learning.models.backbone import load_model
from pipeline.learning.training.holdout_split import find_class_indices
from pipeline.remedies import find_training_remedy
from pipeline.stages import cluster, explain, prescribe, probe, retrain, train
from pipeline.statistics.classification.classification_metrics import score_logits
from tests.bench.remedies.protocol import LIT, Protocol
from tests.bench.slices.causes import CAUSES, Cause

SHARE = 0.15  # of the tracks of val, and of the test
MOST = 2400  # images of val
STAGES = (
    (probe, {"max_images": 800, "check_shortcuts": False}),
    (cluster, {}),
    (explain, {"matched_images": 80}),
    (prescribe, {"remedy_share": 0.35}),
)
SCALE = {"blur": 0.5, "motion_blur": 0.5}  # strengths in pixels, written down for 64 px


@dataclass
class Planted:
    """One cause and severity (0 or 1), with all that an arm needs (see `arms`)."""

    base: Protocol
    cause: Cause
    severity: int
    scratch: Path
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For tables and files."""
        return f"{self.cause.name} {('moderate', 'severe')[self.severity]}"

    @property
    def names(self) -> list[str]:
        """Class names."""
        return self.base.names

    @property
    def model(self) -> Path:
        """The day's."""
        return self.base.model

    @property
    def settings(self) -> retrain.Config:
        """As the protocol's."""
        return self.base.settings

    @property
    def learned(self) -> train.Config:
        """As the protocol's."""
        return self.base.learned

    @property
    def plan(self) -> pd.DataFrame:
        """What the product wrote."""
        return pd.DataFrame(self.made["plan"])

    @property
    def images(self) -> pd.DataFrame:
        """The artifact."""
        return self.base.images

    @property
    def training_images(self) -> TrainingImages:
        """What every arm learns from: nothing is planted in train."""
        return TrainingImages(self.pixels, self.base.training_images.image_rows, self.base.training_images.labels)

    def _planted(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        low, high = (
            SCALE.get(self.cause.remedy, 1.0) * strength
            for strength in self.cause.strengths[self.severity]
        )
        return self.cause.plant(pixels, low, high, zlib.crc32(self.cause.name.encode()))

    def _some(self, rows: NDArray[np.intp], share: float) -> NDArray[np.intp]:
        """Those of `rows` whose track was drawn."""
        groups = self.images["group"].to_numpy(dtype=str)[rows]
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        drawn = [g for g in np.unique(groups) if rng.random() < share]
        return rows[np.isin(groups, drawn)]

    def _lit(self, split: str) -> NDArray[np.intp]:
        inside = (self.base.run.load_artifact("splits")["split"] == split).to_numpy() & (
            self.base.light >= LIT
        )
        return np.flatnonzero(inside & (find_class_indices(self.images, self.names) >= 0))

    @cached_property
    def val(self) -> NDArray[np.intp]:
        """Rows of val: lit images, evenly thinned."""
        rows = self._lit("val")
        return rows[np.linspace(0, len(rows) - 1, min(MOST, len(rows))).astype(int)]

    @cached_property
    def test(self) -> NDArray[np.intp]:
        """Rows of the test: lit images."""
        return self._lit("test")

    @cached_property
    def planted(self) -> NDArray[np.bool_]:
        """bool [images]: images of val and of the test that have the cause."""
        rows = np.concatenate([self._some(self.val, SHARE), self._some(self.test, SHARE)])
        return np.isin(np.arange(len(self.images)), rows)

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """All images with the cause planted.

        Copies of training images that have it come after them, for the oracle.
        """
        pixels = np.array(self.base.run.load_artifact("pixels"))
        rows = np.flatnonzero(self.planted)
        pixels[rows] = self._planted(pixels[rows])
        return np.concatenate([pixels, self._planted(pixels[self._copied])])

    @cached_property
    def _copied(self) -> NDArray[np.intp]:
        return self._some(np.sort(self.base.training_images.image_rows), 2 * SHARE)

    @property
    def left_out(self) -> TrainingImages:
        """The copies."""
        truth = find_class_indices(self.images, self.names)[self._copied]
        return TrainingImages(self.pixels, len(self.images) + np.arange(len(self._copied)), truth)

    @property
    def parts(self) -> dict[str, NDArray[np.bool_]]:
        """bool [test]."""
        inside = self.planted[self.test]
        return {"all": np.ones(len(inside), bool), "planted": inside, "as they were": ~inside}

    def right(self, said: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """bool [test]: whether the answers are right."""
        return np.asarray(
            said.argmax(1) == find_class_indices(self.images, self.names)[self.test], dtype=np.bool_
        )

    def _attributes(self) -> pd.DataFrame:
        """All measured on the small copies, so that planted images differ by their cause alone."""
        used = np.concatenate([self.val, self.base.training_images.image_rows])
        table = pd.DataFrame(self.base.run.load_artifact("attributes")).copy()
        pictured = list(list_attributes(PIXEL_SOURCES))
        table[pictured] = np.nan
        table.loc[used, pictured] = measure_images(self.pixels[used])[pictured].to_numpy()
        return table

    def prescribe(self) -> None:
        """Run the product's stages from the day's model to its plan; `made` holds what they make."""
        run, split = self.base.run, pd.DataFrame(self.base.run.load_artifact("splits")).copy()
        used = np.isin(
            np.arange(len(split)),
            np.concatenate([self.val, self.test, self.base.training_images.image_rows]),
        )
        split.loc[~used, "split"] = "left_out"
        network, meta = load_model(self.model)
        truth, inside = (
            find_class_indices(self.images, self.names)[self.val],
            self.planted[self.val],
        )
        said = compute_logits(network, self.pixels[self.val], meta)
        embeddings = np.array(run.load_artifact("embeddings"))
        rows = self.val[inside]
        embeddings[rows] = extract_features(self.pixels[rows])
        temperature = float(meta.get("temperature") or 1.0)
        groups = self.images["group"].to_numpy(dtype=str)[self.val]
        given: dict[str, Any] = {
            name: run.load_artifact(name)
            for name in ("images", "classes", "training", "label_issues")
        }
        given |= {
            "splits": split,
            "attributes": self._attributes(),
            "embeddings": embeddings,
            "model": self.model,
        }
        given |= {"pixels": self.pixels[: len(self.images)]}
        ids = self.images["image_id"].iloc[self.val]
        given["predictions"] = build_predictions(ids, truth, said, self.names, temperature)
        given["metrics"] = {
            **score_logits(said, truth, groups, self.names, temperature),
            "costs": None,
        }
        for module, settings in STAGES:
            self.scratch.mkdir(parents=True, exist_ok=True)
            context = StageContext("bench", 0, self.scratch, self.scratch)
            needs = get_stage(module.__name__.rpartition(".")[2]).needs
            config = module.Config.model_validate(settings)
            given |= module.run(config, context, **{name: given[name] for name in needs})
        self.made = given

    @property
    def found(self) -> dict[str, Any]:
        """What was prescribed: drop (share of the planted images' accuracy on val that the cause takes), confirmed (a
        confirmed slice is mostly planted images), given (what training images get for the first such slice), right."""
        said = self.made["predictions"].set_index("image_id")["correct"]
        ids = self.images["image_id"].to_numpy()
        planted = set(ids[self.planted])
        members = self.made["membership"].groupby("slice")["image_id"].agg(set)
        told = self.made["explanations"]
        told = told[told["status"] == "confirmed"].sort_values("rank")
        mine = [s for s in told["slice"] if len(members[s] & planted) >= len(members[s]) / 2]
        plan = self.plan[self.plan["slice"].isin(mine[:1])]
        given = "" if plan.empty else str(plan["remedy"].iloc[0])
        strengths = self.cause.strengths[self.severity]
        allowed = {self.cause.remedy, find_training_remedy(self.cause.remedy, *strengths)}
        before = pd.DataFrame(self.base.run.load_artifact("predictions")).set_index("image_id")[
            "correct"
        ]
        hit = [i for i in said.index if i in planted]
        return {
            "drop": float(before[hit].mean() - said[hit].mean()),
            "images": len(hit),
            "confirmed": bool(mine),
            "words": str(told.loc[told["slice"] == mine[0], "words"].iloc[0]) if mine else "",
            "given": given,
            "strengths": []
            if plan.empty
            else [float(plan[c].iloc[0]) for c in ("strength_low", "strength_high")],
            "right": given in allowed,
        }


def setting(base: Protocol, cause: str, severity: int, folder: Path) -> Planted:
    """One of the suite's."""
    return Planted(base, CAUSES[cause], severity, folder / f"{cause}-{severity}")
