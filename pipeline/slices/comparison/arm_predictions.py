"""Predictions of the baseline and the candidates, and the images that slice rules admit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contracts import StageContext
from pipeline.learning.inference.model_outputs import compute_logits, extract_features
from pipeline.learning.models.backbone import load_model
from pipeline.remedies import apply_remedy
from pipeline.slices.candidates.rule_admission import (
    collect_reference_ids,
    compute_slice_masks,
    measure_cosine_distances,
    parse_frozen_rules,
)
from pipeline.slices.comparison.comparison_inputs import ComparisonInputs
from pipeline.statistics.model_comparison import Mask, ModelOutput
from pipeline.storage.artifact_store import read_json

BASELINE_ARM = "before"
WEIGHTS_FILE = "model.safetensors"
IMAGES_PER_CHUNK = 4096
"""Images held in memory at once: 50 MB of pixels at a side of 64."""

ImageTransform = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


@dataclass(frozen=True)
class ArmPredictor:
    """Predicts rows of `images` with the baseline and the candidates.

    Attributes:
        inputs: artifacts of the comparison.
        context: seed and progress.
    """

    inputs: ComparisonInputs
    context: StageContext

    @property
    def baseline_weights(self) -> Path:
        """Return the file of the baseline's weights."""
        return self.inputs.model_folder / WEIGHTS_FILE

    def load_val_baseline(self) -> ModelOutput:
        """Return the baseline's predictions on validation, which `evaluate` made."""
        meta = read_json(self.inputs.model_folder / "model.json")
        logits = np.asarray(self.inputs.validation_set.logits)
        return ModelOutput(BASELINE_ARM, None, logits, float(meta.get("temperature", 1.0)))

    def predict_baseline(self, rows: NDArray[np.intp]) -> ModelOutput:
        """Return the baseline's predictions on some rows of `images`."""
        logits, temperature = self._compute_logits(self.baseline_weights, rows)
        return ModelOutput(BASELINE_ARM, None, logits, temperature)

    def predict_candidates(self, rows: NDArray[np.intp]) -> list[ModelOutput]:
        """Return the predictions of every candidate on some rows, in training order.

        Validation images are predicted by weights that were not trained on them.
        """
        outputs = []
        for run in self.inputs.candidate_runs:
            logits, temperature = self._predict_run(run, rows)
            temperature = float(run.get("temperature") or temperature)
            seed = None if run["seed"] is None else int(run["seed"])
            outputs.append(ModelOutput(run["arm"], seed, logits, temperature))
        return outputs

    def predict_corrected(
        self, arm: str, correction: dict[str, Any], rows: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Return float32 [rows, classes]: logits of an arm's first model after a correction.

        Args:
            arm: the arm.
            correction: its remedy and strength.
            rows: rows of `images`.
        """
        strength = correction["strength"]

        def correct_images(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
            remedy = correction["remedy"]
            return apply_remedy(remedy, pixels, strength, strength, self.context.seed)

        if arm == BASELINE_ARM:
            return self._compute_logits(self.baseline_weights, rows, correct_images)[0]
        return self._predict_run(self.find_first_run(arm), rows, correct_images)[0]

    def find_first_run(self, arm: str) -> dict[str, Any]:
        """Return the entry of an arm's first model, the one that would ship."""
        return next(run for run in self.inputs.candidate_runs if run["arm"] == arm)

    def _predict_run(
        self, run: dict[str, Any], rows: NDArray[np.intp], transform: ImageTransform | None = None
    ) -> tuple[NDArray[np.float32], float]:
        """Return float32 [rows, classes] of a candidate, and the temperature of the baseline."""
        class_count = len(self.inputs.class_names)
        logits = np.zeros((len(rows), class_count), dtype=np.float32)
        temperature = 1.0
        for weights, is_inside in self.inputs.select_weights(run, rows):
            logits[is_inside], temperature = self._compute_logits(
                weights, rows[is_inside], transform
            )
        return logits, temperature

    def _compute_logits(
        self, weights: Path, rows: NDArray[np.intp], transform: ImageTransform | None = None
    ) -> tuple[NDArray[np.float32], float]:
        """Return float32 [rows, classes] and the temperature of the baseline.

        All arms share the architecture and the `model.json` of the baseline.
        """
        model, meta = load_model(self.inputs.model_folder, str(weights.resolve()))
        starts = range(0, len(rows), IMAGES_PER_CHUNK)
        parts = []
        for start in self.context.track_progress(
            starts, total=len(starts), unit=f"parts by {weights.stem}"
        ):
            pixels = self.inputs.pixels[rows[start : start + IMAGES_PER_CHUNK]]
            parts.append(compute_logits(model, transform(pixels) if transform else pixels, meta))
        return np.concatenate(parts), float(meta.get("temperature") or 1.0)


def find_val_members(inputs: ComparisonInputs) -> dict[str, Mask]:
    """Return bool [validation images] for each confirmed slice: its held-out members."""
    val = inputs.validation_set
    return {name: val.find_members(name, inputs.membership) for name in inputs.confirmed_slices}


def find_admitted_rows(
    inputs: ComparisonInputs,
    rows: NDArray[np.intp],
    *,
    can_read_pixels: bool,
    should_use_label: bool = True,
) -> dict[str, Mask]:
    """Return bool [rows] for each confirmed slice: whether its frozen rule admits an image.

    Args:
        inputs: artifacts of the comparison.
        rows: rows of `images`.
        can_read_pixels: whether the pixels may be used; on the sealed test set they may not, and
            slices whose rule needs them are left out.
        should_use_label: whether the class of the rule counts.
    """
    rules = parse_frozen_rules(inputs.explanations)
    distances: dict[str, NDArray[np.float32]] = {}
    if can_read_pixels:
        distances = _measure_reference_distances(
            inputs, rows, collect_reference_ids(rules.values())
        )
    else:
        rules = {name: rule for name, rule in rules.items() if not collect_reference_ids([rule])}
    frame = inputs.condition_frame.iloc[rows].reset_index(drop=True)
    return compute_slice_masks(frame, rules, distances, should_use_label=should_use_label)


def add_other_classes(
    inputs: ComparisonInputs, rows: NDArray[np.intp], slice_masks: Mapping[str, Mask]
) -> dict[str, Mask]:
    """Return bool [rows] for each slice: its images, and those of other classes that are alike.

    The rule of a slice of one class admits images of that class only. A remedy may move errors from
    it to another class under the same condition, so every class is judged there.

    Args:
        inputs: artifacts of the comparison.
        rows: rows of `images`.
        slice_masks: members of each slice, bool [rows].
    """
    rules = parse_frozen_rules(inputs.explanations)
    admitted = find_admitted_rows(inputs, rows, can_read_pixels=True, should_use_label=False)
    labels = inputs.images["label"].iloc[rows].to_numpy()
    return {
        name: mask | (admitted[name] & (labels != rules[name].label))
        for name, mask in slice_masks.items()
        if rules[name].label is not None
    }


def _measure_reference_distances(
    inputs: ComparisonInputs, rows: NDArray[np.intp], reference_ids: set[str]
) -> dict[str, NDArray[np.float32]]:
    """Return float32 [rows] for each reference image: cosine distances in frozen features."""
    if not reference_ids:
        return {}
    reference_rows = np.flatnonzero(inputs.images["image_id"].isin(reference_ids))
    count = len(reference_rows)
    features = extract_features(np.asarray(inputs.pixels[np.concatenate([reference_rows, rows])]))
    distances = measure_cosine_distances(features, range(count))[:, count:]
    image_ids = inputs.images["image_id"].iloc[reference_rows]
    return dict(zip(image_ids, distances, strict=True))
