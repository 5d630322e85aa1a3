"""Intervenes on images of val and asks the model again: what repairs a failure, what makes one, what does nothing."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import log_softmax

from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.domain.rules import metadata_frame, split_columns
from pipeline.domain.validation_set import ProbeMeasurements, build_validation_set
from pipeline.learning.distributed import map_over_ranks as share
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import load_model
from pipeline.remedies import apply_remedy, list_interventions
from pipeline.slices.shortcuts.class_marks import build_mark_table
from pipeline.slices.shortcuts.shortcut_detection import (
    ShortcutImages,
    detect_shortcuts,
    list_untestable_classes,
)
from pipeline.statistics.group_intervals import estimate_cluster_mean

IMAGES_PER_CHUNK = 1024  # images treated at a time, which bounds the memory

FloatArray = NDArray[np.float32]
ImageArray = NDArray[np.uint8]
LogitsFunction = Callable[[ImageArray], FloatArray]


class Config(StageSettings):
    """Settings of the interventions."""

    max_images: int = Field(
        2000, ge=1, description="most images of val that are tried, sampled evenly by group"
    )
    batch_size: int = Field(64, ge=1, description="images the model looks at together")
    check_shortcuts: bool = Field(
        True, description="look for captions, logos and borders that the model leans on"
    )
    shortcut_images: int = Field(
        40, ge=1, description="most images of a class, a fold, in which they are covered"
    )
    shortcut_predictions: int = Field(
        100_000, ge=1, description="altered images that this asks the model about, at most"
    )
    shortcut_grid: int = Field(
        4, ge=2, le=16, description="patches along a side that are covered one by one"
    )


def run(
    config: Config,
    context: StageContext,
    *,
    images: pd.DataFrame,
    pixels: ImageArray,
    classes: dict[str, Any],
    attributes: pd.DataFrame,
    splits: pd.DataFrame,
    model: Path,
    predictions: pd.DataFrame,
    embeddings: FloatArray,
    metrics: dict[str, Any],
    label_issues: pd.DataFrame,
) -> StageOutputs:
    """Try every remedy at every strength on each probed image, and gather what is known about the validation images.

    Makes `validation_set` (with the probe's measurements), `shortcuts` (`pipeline.slices.shortcuts.shortcut_detection`), `marks` (which
    photos bear those that are confirmed), and `dose_response` (weighted accuracy with a 95 % interval by group;
    repaired share of the wrong, broken share of the right photos). The sample never looks at what the model answered.
    """
    network, meta = load_model(model)

    def ask(photos: ImageArray) -> FloatArray:
        return np.asarray(
            compute_logits(network, photos, meta, batch_size=config.batch_size), dtype=np.float32
        )

    names = list(classes["names"])
    frame = build_probe_frame(images, splits, predictions, names)
    measurements, dose_response = try_interventions(config, context, frame, pixels, ask)
    made = {"dose_response": dose_response} | find_shortcuts(
        config, context, frame, pixels, (ask, names)
    )
    marks = _find_marks(context, images, pixels, splits, made["shortcuts"], names)
    validation_set = build_validation_set(
        split_columns(metadata_frame(images, attributes, marks)),
        measurements,
        splits=splits,
        classes=classes,
        predictions=predictions,
        embeddings=embeddings,
        metrics=metrics,
        label_issues=label_issues,
    )
    return made | {"marks": marks, "validation_set": validation_set}


def try_interventions(
    config: Config,
    context: StageContext,
    frame: pd.DataFrame,
    pixels: ImageArray,
    compute_logits: LogitsFunction,
) -> tuple[ProbeMeasurements, pd.DataFrame]:
    """Return the measurements on a sample of `frame`, and the artifact `dose_response`.

    Args:
        config: size of the sample.
        context: seed and progress.
        frame: row in `pixels`, group, truth (class index), image_id and logits of each image.
        pixels: uint8 [images, side, side, 3].
        ask: the model: pixels to logits.
    """
    chosen = _draw_sample(frame["group"], config.max_images, np.random.default_rng(context.seed))
    sample = frame.loc[chosen.index].assign(weight=chosen)
    if sample.empty:
        context.add_note("val holds no labeled image, so no intervention was tried")
    truth = sample["truth"].to_numpy(np.int64)
    before = sample.filter(regex=r"^logit_\d+$").to_numpy(np.float32)
    was_right = before.argmax(axis=1) == truth

    def tried(item: tuple[str, float]) -> tuple[FloatArray, NDArray[np.int16], dict[str, Any]]:
        after = _compute_treated_logits(
            compute_logits, pixels, sample["row"].to_numpy(), item, context.seed, before.shape[1]
        )
        answered = after.argmax(axis=1).astype(np.int16)
        judged = {"remedy": item[0], "strength": item[1]} | _summarize_response(
            answered == truth, was_right, sample
        )
        return (
            _compute_label_log_probability(after, truth)
            - _compute_label_log_probability(before, truth),
            answered,
            judged,
        )

    columns = share(tried, list_interventions(), context.track_progress, unit_name="interventions")
    measurements = ProbeMeasurements(
        list(sample["image_id"]),
        sample["weight"].to_numpy(dtype=np.float64),
        np.stack([column[0] for column in columns], axis=1),
        np.stack([column[1] for column in columns], axis=1),
    )
    return measurements, pd.DataFrame([column[2] for column in columns])


def find_shortcuts(
    config: Config,
    context: StageContext,
    frame: pd.DataFrame,
    pixels: ImageArray,
    model: tuple[LogitsFunction, list[str]],
) -> StageOutputs:
    """`shortcuts`: the marks on which the model (to ask, and its classes) leans, for the images of `frame`."""
    ask, names = model
    kept = frame if config.check_shortcuts else frame.iloc[:0]
    truth, fold = kept["truth"].to_numpy(np.intp), kept["fold"].to_numpy(np.intp)
    scene = ShortcutImages(
        pixels, kept["row"].to_numpy(np.intp), truth, kept["group"].to_numpy(str), fold
    )
    most, grid, asks = config.shortcut_images, config.shortcut_grid, config.shortcut_predictions
    table = detect_shortcuts(
        scene,
        names,
        lambda p: ask(p).argmax(axis=1),
        grid_size=grid,
        max_images=most,
        max_predictions=asks,
        seed=context.seed,
    )
    if few := list_untestable_classes(scene, names):
        context.add_note(
            f"marks to lean on were not looked for in {len(few)} classes of too few groups, such as {few[0]}"
        )
    for label in table.loc[table["status"] == "confirmed", "label"]:
        context.add_note(
            f"the model leans on a mark that images of {label} share (see the shortcuts)"
        )
    return {"shortcuts": table}


def _find_marks(
    context: StageContext,
    images: pd.DataFrame,
    pixels: ImageArray,
    splits: pd.DataFrame,
    shortcut_table: pd.DataFrame,
    class_names: list[str],
) -> pd.DataFrame:
    """Which images of all bear the marks of the confirmed shortcuts, as training images show them."""
    train = (splits["split"] == "train").to_numpy() & images["label"].isin(class_names).to_numpy()
    rows = np.flatnonzero(train)
    truth = pd.Index(class_names).get_indexer(pd.Index(images["label"].iloc[rows]))
    scene = ShortcutImages(
        pixels, rows, truth, images["group"].to_numpy(str)[rows], np.zeros(len(rows), np.intp)
    )
    labels = shortcut_table.loc[shortcut_table["status"] == "confirmed", "label"]
    return build_mark_table(scene, class_names, labels, images["image_id"], context.seed)


def build_probe_frame(
    images: pd.DataFrame, splits: pd.DataFrame, predictions: pd.DataFrame, class_names: list[str]
) -> pd.DataFrame:
    """The labeled images of val in the order of `images`: row in `pixels`, group, truth (class index), logits."""
    known = images[["image_id", "group"]].assign(row=np.arange(len(images)))
    val = splits.loc[splits["split"] == "val", ["image_id", "fold"]]
    frame = known.merge(val, on="image_id").merge(predictions, on="image_id")
    frame["truth"] = [
        class_names.index(label) if label in class_names else -1 for label in frame["label"]
    ]
    return frame[frame["truth"] >= 0].sort_values("row", ignore_index=True)


def _draw_sample(
    groups: pd.Series[str], max_rows: int, generator: np.random.Generator
) -> pd.Series[float]:
    """Weights of at most `most` rows, by index in order: an equal cap a group, random within it.

    A weight is how many rows a sampled one stands for. With more groups than `most`, groups are drawn at random.
    """
    sizes = groups.value_counts(sort=False)
    drawn = sizes.iloc[np.sort(generator.permutation(len(sizes))[:max_rows])]
    cap = _find_group_cap(drawn.to_numpy(), max_rows)
    order = groups.iloc[generator.permutation(len(groups))]
    taken = order[order.isin(drawn.index) & (order.groupby(order).cumcount() < cap)].sort_index()
    weight = taken.map(sizes / sizes.clip(upper=cap)).astype(np.float64)
    return weight * (len(sizes) / max(len(drawn), 1))


def _find_group_cap(sizes: NDArray[np.integer], max_rows: int) -> int:
    """The largest cap for which the capped sizes add up to at most `most` (at least 1)."""
    low, high = 1, max(int(sizes.max(initial=1)), 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high) if np.minimum(sizes, middle).sum() <= max_rows else (low, middle - 1)
        )
    return low


def _compute_treated_logits(
    compute_logits: LogitsFunction,
    pixels: ImageArray,
    rows: NDArray[np.int64],
    intervention: tuple[str, float],
    seed: int,
    class_count: int,
) -> FloatArray:
    """Logits float32 [rows, classes] after the intervention; drawn anew for each intervention, whatever ran before."""
    name, strength = intervention
    parts = [np.zeros((0, class_count), np.float32)]
    for start in range(0, len(rows), IMAGES_PER_CHUNK):
        images = np.asarray(pixels[rows[start : start + IMAGES_PER_CHUNK]])
        parts.append(
            compute_logits(
                apply_remedy(
                    name,
                    images,
                    strength,
                    strength,
                    seed=zlib.crc32(f"{seed} {name} {strength} {start}".encode()),
                )
            )
        )
    return np.concatenate(parts)


def _compute_label_log_probability(scores: FloatArray, labels: NDArray[np.int64]) -> FloatArray:
    """Log-probability of the true class, float32 [N]."""
    return np.asarray(log_softmax(scores, axis=1)[np.arange(len(labels)), labels], dtype=np.float32)


def _summarize_response(
    is_correct: NDArray[np.bool_], is_correct_before: NDArray[np.bool_], sample: pd.DataFrame
) -> dict[str, float]:
    weight = sample["weight"].to_numpy()
    if not len(sample):
        return {"accuracy": 0.0, "low": 0.0, "high": 1.0, "repairs": 0.0, "breaks": 0.0}
    interval = estimate_cluster_mean(
        is_correct, sample["group"].to_numpy(), alpha=0.05, weights=weight
    )
    return {
        "accuracy": interval.value,
        "low": interval.low,
        "high": interval.high,
        "repairs": _compute_weighted_share(is_correct, ~is_correct_before, weight),
        "breaks": _compute_weighted_share(~is_correct, is_correct_before, weight),
    }


def _compute_weighted_share(
    is_hit: NDArray[np.bool_], is_eligible: NDArray[np.bool_], weights: NDArray[np.float64]
) -> float:
    """Weighted share of `hit` among `among`; 0 where there are none."""
    total = float(weights[is_eligible].sum())
    return float(weights[is_hit & is_eligible].sum()) / total if total > 0 else 0.0
