"""Interventions on a sample of the validation images: every remedy at every strength."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import StageContext
from pipeline.domain.probe_results import ProbeMeasurements
from pipeline.learning.distributed import map_over_processes
from pipeline.remedies import apply_remedy, list_interventions
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


def probe_interventions(
    frame: pd.DataFrame,
    pixels: ImageArray,
    compute_logits: LogitsFunction,
    max_images: int,
    context: StageContext,
) -> tuple[ProbeMeasurements, pd.DataFrame]:
    """Return the measurements on a sample of images, and the artifact `dose_response`.

    The sample depends on groups and seed, never on the predictions.

    Args:
        frame: images as `build_probe_frame` returns them.
        pixels: uint8 [images, side, side, 3].
        compute_logits: the model, uint8 [n, side, side, 3] to float32 [n, classes].
        max_images: images in the sample at most.
        context: seed, progress and notes.
    """
    weights = draw_capped_sample(frame["group"], max_images, np.random.default_rng(context.seed))
    sample = frame.loc[weights.index].assign(weight=weights)
    if sample.empty:
        context.add_note("val holds no labeled image, so no intervention was tried")
    labels = sample["label_index"].to_numpy(np.int64)
    logits_before = sample.filter(regex=r"^logit_\d+$").to_numpy(np.float32)
    is_correct_before = logits_before.argmax(axis=1) == labels

    def try_intervention(
        intervention: tuple[str, float],
    ) -> tuple[NDArray[np.int16], dict[str, Any]]:
        logits = _compute_treated_logits(
            compute_logits,
            pixels,
            sample["row"].to_numpy(),
            intervention,
            context.seed,
            logits_before.shape[1],
        )
        responses = logits.argmax(axis=1).astype(np.int16)
        row = {"remedy": intervention[0], "strength": intervention[1]}
        row |= _summarize_response(responses == labels, is_correct_before, sample)
        return responses, row

    responses, rows = [], []
    for response, row in map_over_processes(
        try_intervention, list_interventions(), context.track_progress, unit_name="interventions"
    ):
        responses.append(response)
        rows.append(row)
    measurements = ProbeMeasurements(
        list(sample["image_id"]),
        sample["weight"].to_numpy(dtype=np.float64),
        np.stack(responses, axis=1),
    )
    return measurements, pd.DataFrame(rows)


def _compute_treated_logits(
    compute_logits: LogitsFunction,
    pixels: ImageArray,
    rows: NDArray[np.int64],
    intervention: tuple[str, float],
    seed: int,
    class_count: int,
) -> FloatArray:
    """Return float32 [rows, classes] after an intervention.

    The seed of random remedies depends on the intervention alone, not on those before it.
    """
    remedy, strength = intervention
    parts = [np.zeros((0, class_count), np.float32)]
    for start in range(0, len(rows), IMAGES_PER_CHUNK):
        chunk = np.asarray(pixels[rows[start : start + IMAGES_PER_CHUNK]])
        remedy_seed = zlib.crc32(f"{seed} {remedy} {strength} {start}".encode())
        treated = apply_remedy(remedy, chunk, strength, strength, seed=remedy_seed)
        parts.append(compute_logits(treated))
    return np.concatenate(parts)


def _summarize_response(
    is_correct: NDArray[np.bool_], is_correct_before: NDArray[np.bool_], sample: pd.DataFrame
) -> dict[str, float]:
    """Return weighted accuracy with its interval by group, and the repaired and broken shares."""
    weights = sample["weight"].to_numpy()
    if not len(sample):
        return {"accuracy": 0.0, "low": 0.0, "high": 1.0, "repairs": 0.0, "breaks": 0.0}
    interval = estimate_cluster_mean(
        is_correct, sample["group"].to_numpy(), alpha=0.05, weights=weights
    )
    return {
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
