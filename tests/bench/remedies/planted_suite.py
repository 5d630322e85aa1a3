"""The planted suite: a held-out cause in lit images of val and of the test set, none in train.

The protocol gives the model trained by day and its splits. Whole tracks of val and of the
test set have the cause. The product proposes, confirms, names and prescribes by its own stages. The
arms start from the model trained by day.
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
from pipeline.remedies import find_training_remedy
from pipeline.report.sentences.slice_sentences import add_sentences
from pipeline.stages import cluster, explain, prescribe, probe, retrain, train
from pipeline.statistics.classification.classification_metrics import score_logits
from tests.bench.remedies.protocol import LIT_LUMINANCE, DayTrainedProtocol
from tests.bench.slices.planted_causes import CAUSES, PlantedCause
from tests.bench.slices.planted_settings import SEVERITIES

PLANTED_SHARE = 0.15  # of the tracks of val and of the test set
MAX_VAL_IMAGES = 2400
MIN_PLANTED_SHARE = 0.5  # of the images of a slice, if it is to show the cause
STAGES: tuple[tuple[Any, dict[str, Any]], ...] = (
    (probe, {"max_images": 800, "check_shortcuts": False}),
    (cluster, {}),
    (explain, {"matched_images": 80}),
    (prescribe, {"remedy_share": 0.35}),
)
# The strengths in pixels are written for 64 px; these images have 32 px.
STRENGTH_SCALE = {"blur": 0.5, "motion_blur": 0.5}
Rows = NDArray[np.intp]


@dataclass
class PlantedDayCase:
    """One cause and severity, with what arms are trained from (see `arms.ArmSource`).

    Attributes:
        base: the day-trained protocol.
        cause: the cause that is planted.
        severity: 0 for moderate, 1 for severe.
        scratch: folder of the stages.
        artifacts: what the stages need and make, by name; filled by `run_stages`.
    """

    base: DayTrainedProtocol
    cause: PlantedCause
    severity: int
    scratch: Path
    artifacts: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the name in tables."""
        return f"{self.cause.name} {SEVERITIES[self.severity]}"

    @property
    def class_names(self) -> list[str]:
        """Return the class names."""
        return self.base.class_names

    @property
    def model_folder(self) -> Path:
        """Return the folder of the model trained by day."""
        return self.base.model_folder

    @property
    def retrain_settings(self) -> retrain.Config:
        """Return the settings of every arm."""
        return self.base.retrain_settings

    @property
    def train_settings(self) -> train.Config:
        """Return the settings of the model trained by day."""
        return self.base.train_settings

    @property
    def plan(self) -> pd.DataFrame:
        """Return the plan that the product wrote."""
        return pd.DataFrame(self.artifacts["plan"])

    @property
    def images(self) -> pd.DataFrame:
        """Return the artifact `images`."""
        return self.base.images

    @cached_property
    def training_rows(self) -> Rows:
        """Return the rows of the training images."""
        return self.base.training_images.image_rows

    @property
    def training_images(self) -> TrainingImages:
        """Return the images that every arm trains on: nothing is planted in train."""
        return TrainingImages(self.pixels, self.training_rows, self.base.training_images.labels)

    def _plant_cause(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        scale = STRENGTH_SCALE.get(self.cause.remedy, 1.0)
        low, high = self.cause.strength_ranges[self.severity]
        seed = zlib.crc32(self.cause.name.encode())
        return self.cause.plant(pixels, scale * low, scale * high, seed)

    def _draw_tracks(self, rows: Rows, share: float) -> Rows:
        """Return the rows whose track is drawn."""
        groups = self.base.groups[rows]
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        drawn = [group for group in np.unique(groups) if rng.random() < share]
        return rows[np.isin(groups, drawn)]

    def _find_lit_rows(self, split: str) -> Rows:
        is_lit = self.base.luminance >= LIT_LUMINANCE
        is_labeled = self.base.labels >= 0
        return np.flatnonzero(self.base.find_split_mask(split) & is_lit & is_labeled)

    @cached_property
    def val_rows(self) -> Rows:
        """Return the rows of val: lit images, evenly thinned."""
        rows = self._find_lit_rows("val")
        count = min(MAX_VAL_IMAGES, len(rows))
        return rows[np.linspace(0, len(rows) - 1, count).astype(int)]

    @cached_property
    def test_rows(self) -> Rows:
        """Return the rows of the test set: lit images."""
        return self._find_lit_rows("test")

    @cached_property
    def planted_mask(self) -> NDArray[np.bool_]:
        """Return bool [images]: the images of val and of the test set with the cause."""
        planted_rows = [
            self._draw_tracks(rows, PLANTED_SHARE) for rows in (self.val_rows, self.test_rows)
        ]
        return np.isin(np.arange(len(self.images)), np.concatenate(planted_rows))

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """Return all images with the cause, then copies of training images with it."""
        pixels = np.array(self.base.pixels)
        planted_rows = np.flatnonzero(self.planted_mask)
        pixels[planted_rows] = self._plant_cause(pixels[planted_rows])
        copies = self._plant_cause(pixels[self._copied_rows])
        return np.concatenate([pixels, copies])

    @cached_property
    def _copied_rows(self) -> Rows:
        return self._draw_tracks(np.sort(self.training_rows), 2 * PLANTED_SHARE)

    @property
    def oracle_images(self) -> TrainingImages:
        """Return the copies of training images with the cause."""
        rows = len(self.images) + np.arange(len(self._copied_rows))
        return TrainingImages(self.pixels, rows, self.base.labels[self._copied_rows])

    @property
    def subsets(self) -> dict[str, NDArray[np.bool_]]:
        """Return bool [test]: all images, the planted ones and the others."""
        is_planted = self.planted_mask[self.test_rows]
        everything = np.ones(len(is_planted), bool)
        return {"all": everything, "planted": is_planted, "as they were": ~is_planted}

    def compute_correctness(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """Return bool [test]: whether the predictions are correct."""
        return np.asarray(logits.argmax(1) == self.base.labels[self.test_rows], dtype=np.bool_)

    def _measure_attributes(self) -> pd.DataFrame:
        """Return attributes of the decoded images: planted images differ by their cause alone."""
        rows = np.concatenate([self.val_rows, self.training_rows])
        attributes = pd.DataFrame(self.base.run.load_artifact("attributes")).copy()
        pixel_attributes = list(list_attributes(PIXEL_SOURCES))
        attributes[pixel_attributes] = np.nan
        measured = measure_images(self.pixels[rows])[pixel_attributes]
        attributes.loc[rows, pixel_attributes] = measured.to_numpy()
        return attributes

    def _build_splits(self) -> pd.DataFrame:
        """Return the splits of the protocol without the images that are not used."""
        splits = pd.DataFrame(self.base.run.load_artifact("splits")).copy()
        used_rows = np.concatenate([self.val_rows, self.test_rows, self.training_rows])
        splits.loc[~np.isin(np.arange(len(splits)), used_rows), "split"] = "left_out"
        return splits

    def _build_embeddings(self) -> NDArray[np.float32]:
        embeddings = np.array(self.base.run.load_artifact("embeddings"))
        planted_val_rows = self.val_rows[self.planted_mask[self.val_rows]]
        embeddings[planted_val_rows] = extract_features(self.pixels[planted_val_rows])
        return embeddings

    def _evaluate(self) -> dict[str, Any]:
        """Return `predictions` and `metrics` of val with the cause."""
        network, meta = load_model(self.model_folder)
        temperature = float(meta.get("temperature") or 1.0)
        logits = compute_logits(network, self.pixels[self.val_rows], meta)
        labels, groups = self.base.labels[self.val_rows], self.base.groups[self.val_rows]
        ids = self.images["image_id"].iloc[self.val_rows]
        metrics = score_logits(logits, labels, groups, self.class_names, temperature)
        predictions = build_predictions(ids, labels, logits, self.class_names, temperature)
        return {"predictions": predictions, "metrics": {**metrics, "costs": None}}

    def run_stages(self) -> None:
        """Run the product's stages from the model trained by day to its plan."""
        kept = ("images", "classes", "training", "label_issues")
        artifacts: dict[str, Any] = {name: self.base.run.load_artifact(name) for name in kept}
        artifacts |= {
            "splits": self._build_splits(),
            "attributes": self._measure_attributes(),
            "embeddings": self._build_embeddings(),
            "model": self.model_folder,
            "pixels": self.pixels[: len(self.images)],
            **self._evaluate(),
        }
        self.scratch.mkdir(parents=True, exist_ok=True)
        for module, settings in STAGES:
            context = StageContext("bench", 0, self.scratch, self.scratch)
            stage = get_stage(module.__name__.rpartition(".")[2])
            needs = {name: artifacts[name] for name in stage.needs}
            artifacts |= module.run(module.Config.model_validate(settings), context, **needs)
        self.artifacts = artifacts

    def describe_prescription(self) -> dict[str, Any]:
        """Return the prescription for the planted cause.

        Returns:
            `accuracy_loss` of the planted images of val and their number `images`; `is_confirmed`:
            whether a confirmed slice is mostly planted images; `words` about the first such slice;
            `remedy` and `strengths` that training images get for it; `is_right`: whether the remedy
            fits the cause.
        """
        planted_ids = set(self.images["image_id"][self.planted_mask])
        explanation = self._find_planted_slice(planted_ids)
        slice_name = None if explanation is None else explanation["slice"]
        plan = self.plan[self.plan["slice"] == slice_name]
        remedy = "" if plan.empty else str(plan["remedy"].iloc[0])
        strengths: list[float] = []
        if not plan.empty:
            strengths = [float(plan[end].iloc[0]) for end in ("strength_low", "strength_high")]
        planted_range = self.cause.strength_ranges[self.severity]
        training_remedy = find_training_remedy(self.cause.remedy, *planted_range)
        before = pd.DataFrame(self.base.run.load_artifact("predictions"))
        after = self.artifacts["predictions"].set_index("image_id")["correct"]
        planted_val_ids = [image_id for image_id in after.index if image_id in planted_ids]
        before_correct = before.set_index("image_id")["correct"][planted_val_ids]
        return {
            "accuracy_loss": float(before_correct.mean() - after[planted_val_ids].mean()),
            "images": len(planted_val_ids),
            "is_confirmed": explanation is not None,
            "words": "" if explanation is None else str(explanation["words"]),
            "remedy": remedy,
            "strengths": strengths,
            "is_right": remedy in {self.cause.remedy, training_remedy},
        }

    def _find_planted_slice(self, planted_ids: set[str]) -> pd.Series | None:
        """Return the first confirmed slice that is mostly planted images, or None."""
        members = self.artifacts["membership"].groupby("slice")["image_id"].agg(set)
        explanations = add_sentences(self.artifacts["explanations"])
        confirmed = explanations[explanations["status"] == "confirmed"].sort_values("rank")
        for _, explanation in confirmed.iterrows():
            slice_ids = members[explanation["slice"]]
            if len(slice_ids & planted_ids) >= MIN_PLANTED_SHARE * len(slice_ids):
                return explanation
        return None


def build_planted_case(
    base: DayTrainedProtocol, cause: str, severity: int, folder: Path
) -> PlantedDayCase:
    """Return one case of the suite.

    Args:
        base: the day-trained protocol.
        cause: name of the cause.
        severity: 0 for moderate, 1 for severe.
        folder: folder of the suite.
    """
    return PlantedDayCase(base, CAUSES[cause], severity, folder / f"{cause}-{severity}")
