"""Models that a run takes over without training: the champion, or a user's own file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from pipeline.contracts import InputError, StageContext, StageOutputs
from pipeline.domain.statuses import ModelOrigin
from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import load_model, save_model
from pipeline.learning.models.user_model import load_user_model
from pipeline.learning.training_settings import HISTORY_DTYPES, PROGRAM_BACKBONE, UserModelSettings

MAX_CHECKED_IMAGES = 512
"""Training images on which a user's model is checked; enough to see that the classes are right."""


def adopt_champion(
    folder: Path, class_names: list[str], side: int, holdout_share: float, context: StageContext
) -> StageOutputs:
    """Return the outputs of `train` with the champion's weights, nothing trained.

    Args:
        folder: the champion's bundle.
        class_names: classes of the data.
        side: side of the images, in pixels.
        holdout_share: share of train that later stages hold out.
        context: context of the stage.

    Raises:
        InputError: the champion was trained for other classes or another image size.
    """
    model, meta = load_model(folder)
    if meta["classes"] != class_names:
        changes = describe_class_changes(meta["classes"], class_names)
        raise InputError(
            f"train.model: the champion was trained for other classes ({changes}); set it to new"
        )
    if meta["side"] != side:
        raise InputError(
            f"train.model: the champion reads images of {meta['side']} px; "
            f"set ingest.side={meta['side']}"
        )
    context.add_note(f"took the champion of run {folder.parent.parent.name} as it is")
    return _save_untrained_model(None, model, meta, holdout_share, context)


def describe_class_changes(champion_classes: list[str], class_names: list[str]) -> str:
    """Return how the classes of the data differ from those of the champion.

    Examples:
        >>> describe_class_changes(["cat", "dog"], ["cat", "emu"])
        'new in the data: emu; without an image now: dog'
    """
    new = sorted(set(class_names) - set(champion_classes))
    missing = sorted(set(champion_classes) - set(class_names))
    parts = []
    if new:
        parts.append(f"new in the data: {', '.join(new)}")
    if missing:
        parts.append(f"without an image now: {', '.join(missing)}")
    return "; ".join(parts)


def adopt_user_model(
    settings: UserModelSettings,
    path: Path,
    training_images: TrainingImages,
    class_names: list[str],
    holdout_share: float,
    context: StageContext,
) -> StageOutputs:
    """Return the outputs of `train` with a user's own model, nothing trained.

    Args:
        settings: settings of the user's model.
        path: file of the model.
        training_images: images of train; some of them show whether the model fits the classes.
        class_names: classes of the data.
        holdout_share: share of train that later stages hold out.
        context: context of the stage.

    Raises:
        InputError: the model does not fit the classes or the image size.
    """
    side = int(training_images.pixels.shape[1])
    model, meta, is_order_known = load_user_model(path, class_names, side, settings)
    order = np.random.default_rng(context.seed).permutation(len(training_images))
    checked = training_images.select_images(np.sort(order[:MAX_CHECKED_IMAGES]))
    predictions = compute_logits(model, checked.load_pixels(), meta).argmax(1)
    correct = int((predictions == checked.labels).sum())
    context.add_note(
        f"took {path.name} as it is; it predicts the label of {correct:,} of {len(checked):,} "
        "training images. The images that it was trained on are not known here: "
        "those of val or test among them make it look better"
    )
    if not is_order_known:
        context.add_note(
            f"{path.name} names no classes: its outputs are taken in sorted order of the classes; "
            "for another order set train.class_order"
        )
    if meta["backbone"] == PROGRAM_BACKBONE:
        retraining = "cannot train it further: it has no trainable weights"
        if meta["trains"]:
            retraining = "trains it further with its norms and dropout as exported"
        context.add_note(
            f"{path.name} is a program of torch.export: every stage runs it; retrain {retraining}"
        )
    return _save_untrained_model(path.name, model, meta, holdout_share, context)


def _save_untrained_model(
    model_file: str | None,
    model: nn.Module,
    meta: dict[str, Any],
    holdout_share: float,
    context: StageContext,
) -> StageOutputs:
    record = {
        "best_step": 0,
        "steps": 0,
        "passes": 0,
        "temperature": float(meta.get("temperature") or 1.0),
        "overfitting_from": None,
        "accuracy_gap": None,
        "is_gap_wide": False,
        "origin": ModelOrigin.USER_FILE if model_file else ModelOrigin.CHAMPION,
        "model_file": model_file,
        "holdout": {"share": holdout_share, "seed": context.seed},
    }
    return {
        "model": save_model(context.scratch_folder / "model", model, meta),
        "history": pd.DataFrame(columns=list(HISTORY_DTYPES)).astype(HISTORY_DTYPES),
        "training": record,
    }
