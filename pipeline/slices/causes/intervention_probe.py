"""Interventions on a sample of the validation images: every remedy at every strength.

Every intervention is tried on the screened images, and on the rest of the sample only if it moves
something there (see `intervention_screening`).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import StageContext
from pipeline.domain.probe_results import NOT_ASKED, ProbeMeasurements
from pipeline.learning.distributed import map_over_processes
from pipeline.remedies import apply_remedy, list_interventions
from pipeline.slices.causes.intervention_screening import (
    NULL_INTERVENTION,
    ChangeCounts,
    count_changes,
    draw_screen,
)
from pipeline.statistics.capped_sampling import draw_capped_sample
from pipeline.statistics.group_intervals import estimate_cluster_mean

IMAGES_PER_CHUNK = 1024
"""Images treated at once, so that memory stays bounded: 13 MB of pixels at a side of 64."""

FloatArray = NDArray[np.float32]
ImageArray = NDArray[np.uint8]
LogitsFunction = Callable[[ImageArray], FloatArray]


def build_probe_frame(
    images: pd.DataFrame, splits: pd.DataFrame, predictions: pd.DataFrame, class_names: list[str]
) -> pd.DataFrame:
    """Return the labeled validation images in the order of `images`.

    Args:
        images: the artifact of that name, as the further arguments.
        splits: selects the validation images and gives their folds.
        predictions: gives the logits; images without a prediction are left out.
        class_names: a class index is a position in it; other labels are left out.

    Returns:
        `image_id`, `row` in the pixels, `group`, `fold`, `label_index` and the logits.
    """
    table = images[["image_id", "group"]].assign(row=np.arange(len(images)))
    val = splits.loc[splits["split"] == "val", ["image_id", "fold"]]
    frame = table.merge(val, on="image_id").merge(predictions, on="image_id")
    frame["label_index"] = pd.Index(class_names).get_indexer(pd.Index(frame["label"]))
    return frame[frame["label_index"] >= 0].sort_values("row", ignore_index=True)


@dataclass(frozen=True)
class ProbeSize:
    """How many images an intervention is tried on.

    Attributes:
        max_images: images in the sample at most.
        screened_images: images of the sample, about, that every intervention is tried on first.
    """

    max_images: int
    screened_images: int


def probe_interventions(
    frame: pd.DataFrame,
    pixels: ImageArray,
    compute_logits: LogitsFunction,
    size: ProbeSize,
    context: StageContext,
) -> tuple[ProbeMeasurements, pd.DataFrame]:
    """Return the measurements on a sample of images, and the artifact `dose_response`.

    The sample depends on groups and seed, never on the predictions. Screened images are drawn from
    it by label and outcome, and weighted accordingly.

    Args:
        frame: images as `build_probe_frame` returns them.
        pixels: uint8 [images, side, side, 3].
        compute_logits: the model, uint8 [n, side, side, 3] to float32 [n, classes].
        size: how many images the interventions are tried on.
        context: seed, progress and notes.
    """
    sample = _draw_sample(frame, size, context.seed)
    if sample.empty:
        context.add_note("val holds no labeled image, so no intervention was tried")
    trial = InterventionTrial(sample, pixels, compute_logits, context.seed)
    null_changes = trial.count_screened_changes(trial.ask_screened(NULL_INTERVENTION))
    interventions = list_interventions()

    def try_intervention(intervention: tuple[str, float]) -> NDArray[np.int16]:
        responses = trial.ask_screened(intervention)
        if trial.count_screened_changes(responses).can_exceed(null_changes):
            responses = trial.ask_rest(intervention, responses)
        return responses

    columns = map_over_processes(
        try_intervention, interventions, context.track_progress, unit_name="interventions"
    )
    rows = [
        {"remedy": remedy, "strength": strength, **_summarize_responses(responses, sample)}
        for (remedy, strength), responses in zip(interventions, columns, strict=True)
    ]
    table = pd.DataFrame(rows)
    _note_unmoved(context, table, sample)
    measurements = ProbeMeasurements(
        list(sample["image_id"]),
        sample["weight"].to_numpy(dtype=np.float64),
        sample["screen_weight"].to_numpy(dtype=np.float64),
        np.stack(columns, axis=1),
    )
    return measurements, table


def _draw_sample(frame: pd.DataFrame, size: ProbeSize, seed: int) -> pd.DataFrame:
    """Return the sampled images with `weight`, `screen_weight` and `is_correct`."""
    weights = draw_capped_sample(frame["group"], size.max_images, np.random.default_rng(seed))
    sample = frame.loc[weights.index].assign(weight=weights)
    logits = sample.filter(regex=r"^logit_\d+$").to_numpy(np.float32)
    sample["is_correct"] = logits.argmax(axis=1) == sample["label_index"].to_numpy()
    screen_weights = draw_screen(sample, size.screened_images, seed)
    return sample.assign(screen_weight=screen_weights * sample["weight"])


def _note_unmoved(context: StageContext, table: pd.DataFrame, sample: pd.DataFrame) -> None:
    """Add a note on the interventions that were tried on the screened images alone."""
    is_partial = table["images"] < len(sample)
    if is_partial.any():
        context.add_note(
            f"{int(is_partial.sum())} of {len(table)} interventions moved nothing on "
            f"{int((sample['screen_weight'] > 0).sum())} images and were not tried on the rest"
        )


@dataclass(frozen=True)
class InterventionTrial:
    """A sample of images that interventions are tried on.

    Attributes:
        sample: the images, with `row`, `label_index`, `is_correct` and `screen_weight`.
        pixels: uint8 [images, side, side, 3].
        compute_logits: the model, uint8 [n, side, side, 3] to float32 [n, classes].
        seed: seed of the random transforms.
    """

    sample: pd.DataFrame
    pixels: ImageArray
    compute_logits: LogitsFunction
    seed: int

    @property
    def is_screened(self) -> NDArray[np.bool_]:
        """Return bool [sampled]: whether every intervention is tried on the image."""
        return (self.sample["screen_weight"] > 0).to_numpy()

    def ask_screened(self, intervention: tuple[str, float]) -> NDArray[np.int16]:
        """Return the responses of the screened images, int16 [sampled]; `NOT_ASKED` elsewhere."""
        unasked = np.full(len(self.sample), NOT_ASKED, np.int16)
        return self._complete(intervention, unasked, self.is_screened)

    def ask_rest(
        self, intervention: tuple[str, float], responses: NDArray[np.int16]
    ) -> NDArray[np.int16]:
        """Return the responses of all images, given those of the screened ones."""
        return self._complete(intervention, responses, ~self.is_screened)

    def count_screened_changes(self, responses: NDArray[np.int16]) -> ChangeCounts:
        """Return how many screened images a response repaired and broke."""
        screened = self.sample[self.is_screened]
        is_correct = responses[self.is_screened] == screened["label_index"].to_numpy()
        return count_changes(screened["is_correct"].to_numpy(), is_correct)

    def _complete(
        self,
        intervention: tuple[str, float],
        responses: NDArray[np.int16],
        is_asked: NDArray[np.bool_],
    ) -> NDArray[np.int16]:
        """Return the responses with those of the images that are asked now.

        The seed of random remedies depends on the intervention and the images alone, not on the
        interventions before it.
        """
        remedy, strength = intervention
        completed = responses.copy()
        positions = np.flatnonzero(is_asked)
        rows = self.sample["row"].to_numpy()
        for start in range(0, len(positions), IMAGES_PER_CHUNK):
            chunk = positions[start : start + IMAGES_PER_CHUNK]
            remedy_seed = zlib.crc32(f"{self.seed} {remedy} {strength} {chunk[0]}".encode())
            images = np.asarray(self.pixels[rows[chunk]])
            treated = apply_remedy(remedy, images, strength, strength, seed=remedy_seed)
            completed[chunk] = self.compute_logits(treated).argmax(axis=1)
        return completed


def _summarize_responses(responses: NDArray[np.int16], sample: pd.DataFrame) -> dict[str, float]:
    """Return weighted accuracy with its interval by group, and the repaired and broken shares.

    They are those of the images that were asked.
    """
    asked = sample[responses != NOT_ASKED]
    if not len(asked):
        unknown = {"accuracy": 0.0, "low": 0.0, "high": 1.0, "repairs": 0.0, "breaks": 0.0}
        return {"images": 0, **unknown}
    is_complete = len(asked) == len(sample)
    weights = asked["weight" if is_complete else "screen_weight"].to_numpy(np.float64)
    is_correct_before = asked["is_correct"].to_numpy()
    is_correct = responses[responses != NOT_ASKED] == asked["label_index"].to_numpy()
    interval = estimate_cluster_mean(
        is_correct, asked["group"].to_numpy(), alpha=0.05, weights=weights
    )
    return {
        "images": len(asked),
        "accuracy": interval.value,
        "low": interval.low,
        "high": interval.high,
        "repairs": _compute_weighted_share(is_correct, ~is_correct_before, weights),
        "breaks": _compute_weighted_share(~is_correct, is_correct_before, weights),
    }


def _compute_weighted_share(
    is_hit: NDArray[np.bool_], is_eligible: NDArray[np.bool_], weights: NDArray[np.float64]
) -> float:
    """Return the weighted share of hits among the eligible images; 0 without any."""
    total = float(weights[is_eligible].sum())
    return float(weights[is_hit & is_eligible].sum()) / total if total > 0 else 0.0
