"""Stage `probe`: apply every remedy to validation images and predict them again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.domain.rule_columns import build_metadata_frame, split_columns
from pipeline.domain.validation_set_builder import build_validation_set
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.inference.normalization_folding import load_folded_model
from pipeline.slices.causes.intervention_probe import (
    LogitsFunction,
    ProbeSize,
    build_probe_frame,
    probe_interventions,
)
from pipeline.slices.shortcuts.class_marks import build_mark_table
from pipeline.slices.shortcuts.shortcut_detection import detect_shortcuts, list_untestable_classes
from pipeline.slices.shortcuts.shortcut_images import ShortcutImages


class Config(StageSettings):
    """Settings of the interventions."""

    max_images: int = Field(
        2000, ge=1, description="validation images at most, sampled evenly by group"
    )
    screened_images: int = Field(
        400,
        ge=1,
        description="images on which every intervention is tried first; the rest are asked only "
        "about those that move something",
    )
    batch_size: int = Field(64, ge=1, description="images that the model reads at once")
    check_shortcuts: bool = Field(
        True, description="look for captions, logos and borders that the model relies on"
    )
    shortcut_images: int = Field(
        40, ge=1, description="images at most of a class and fold in which patches are covered"
    )
    shortcut_predictions: int = Field(
        100_000, ge=1, description="altered images at most that the search for shortcuts predicts"
    )
    shortcut_grid: int = Field(
        4, ge=2, le=16, description="patches along a side that are covered one by one"
    )


def run(
    config: Config,
    context: StageContext,
    *,
    images: pd.DataFrame,
    pixels: NDArray[np.uint8],
    classes: dict[str, Any],
    attributes: pd.DataFrame,
    splits: pd.DataFrame,
    model: Path,
    predictions: pd.DataFrame,
    embeddings: NDArray[np.float32],
    metrics: dict[str, Any],
    label_issues: pd.DataFrame,
) -> StageOutputs:
    """Return `validation_set`, `dose_response`, `shortcuts` and `marks`.

    `dose_response` holds the weighted accuracy after each intervention with a 95 % interval by
    group, the repaired share of the misclassified and the broken share of the correct images, all
    of the images that it was tried on.
    `marks` holds which images bear the mark of a confirmed shortcut.

    Args:
        config: settings of the stage.
        context: seed, progress, notes and folders.
        images: the artifact of that name, as the further arguments.
    """
    network, meta = load_folded_model(model)

    def predict(treated: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits = compute_logits(network, treated, meta, batch_size=config.batch_size)
        return np.asarray(logits, dtype=np.float32)

    class_names = list(classes["names"])
    frame = build_probe_frame(images, splits, predictions, class_names)
    measurements, dose_response = probe_interventions(
        frame, pixels, predict, ProbeSize(config.max_images, config.screened_images), context
    )
    shortcuts = find_shortcuts(config, context, frame, pixels, predict, class_names)
    marks = _find_marks(context, images, pixels, splits, shortcuts, class_names)
    validation_set = build_validation_set(
        split_columns(build_metadata_frame(images, attributes, marks)),
        measurements,
        splits=splits,
        classes=classes,
        predictions=predictions,
        embeddings=embeddings,
        metrics=metrics,
        label_issues=label_issues,
    )
    return {
        "validation_set": validation_set,
        "dose_response": dose_response,
        "shortcuts": shortcuts,
        "marks": marks,
    }


def find_shortcuts(
    config: Config,
    context: StageContext,
    frame: pd.DataFrame,
    pixels: NDArray[np.uint8],
    compute_logits: LogitsFunction,
    class_names: list[str],
) -> pd.DataFrame:
    """Return `shortcuts`: the marks of classes that the model relies on.

    Args:
        config: settings of the stage.
        context: seed and notes.
        frame: validation images as `build_probe_frame` returns them.
        pixels: uint8 [images, side, side, 3].
        compute_logits: the model.
        class_names: its classes.
    """
    searched = frame if config.check_shortcuts else frame.iloc[:0]
    shortcut_images = ShortcutImages(
        pixels,
        searched["row"].to_numpy(np.intp),
        searched["label_index"].to_numpy(np.intp),
        searched["group"].to_numpy(str),
        searched["fold"].to_numpy(np.intp),
    )
    table = detect_shortcuts(
        shortcut_images,
        class_names,
        lambda treated: compute_logits(treated).argmax(axis=1),
        grid_size=config.shortcut_grid,
        max_images=config.shortcut_images,
        max_predictions=config.shortcut_predictions,
        seed=context.seed,
    )
    untestable = list_untestable_classes(shortcut_images, class_names)
    if untestable:
        context.add_note(
            f"{len(untestable)} classes have too few groups to look for marks that the model "
            f"relies on, such as {untestable[0]}"
        )
    for label in _list_confirmed_labels(table):
        context.add_note(
            f"the model relies on a mark that images of {label} share (see the shortcuts)"
        )
    return table


def _list_confirmed_labels(shortcuts: pd.DataFrame) -> list[str]:
    return list(shortcuts.loc[shortcuts["status"] == "confirmed", "label"])


def _find_marks(
    context: StageContext,
    images: pd.DataFrame,
    pixels: NDArray[np.uint8],
    splits: pd.DataFrame,
    shortcuts: pd.DataFrame,
    class_names: list[str],
) -> pd.DataFrame:
    """Return which images bear the mark of a confirmed shortcut; training images define it."""
    is_train = (splits["split"] == "train").to_numpy()
    rows = np.flatnonzero(is_train & images["label"].isin(class_names).to_numpy())
    training_images = ShortcutImages(
        pixels,
        rows,
        pd.Index(class_names).get_indexer(pd.Index(images["label"].iloc[rows])),
        images["group"].to_numpy(str)[rows],
        np.zeros(len(rows), np.intp),
    )
    labels = _list_confirmed_labels(shortcuts)
    return build_mark_table(training_images, class_names, labels, images["image_id"], context.seed)
