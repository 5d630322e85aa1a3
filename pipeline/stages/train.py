"""Stage `train`: fine-tune a backbone, or take the champion or a user's own model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline.contracts import InputError, StageContext, StageOutputs
from pipeline.domain.statuses import ModelOrigin
from pipeline.learning.training_settings import BudgetSettings, FitSettings, UserModelSettings
from pipeline.report.sentences.training_sentences import (
    describe_class_imbalance,
    describe_initial_weights,
    describe_side_comparison,
)
from pipeline.settings_validation import PATH_SETTING
from pipeline.storage import champion_registry
from pipeline.storage.artifact_store import RunFolder, compute_key, hash_content

if TYPE_CHECKING:
    from pipeline.learning.batches.batch_sampling import TrainingImages
    from pipeline.learning.training.training_loop import FitResult

MIN_IMBALANCE = 10
"""Ratio of the largest class to the smallest from which the setting for long tails is named. It is
not chosen by itself: balanced accuracy rose on one data set and fell on another."""


class Config(UserModelSettings, BudgetSettings, FitSettings):
    """Settings of the training."""

    model: str = Field(
        "new",
        description="new: train a model; champion, or the file of your own model: take it as it is",
        json_schema_extra=PATH_SETTING,
    )
    holdout: float = Field(
        0.1,
        gt=0,
        le=0.5,
        description="share of train, in whole groups, for early stopping and the temperature",
    )

    @property
    def user_model_file(self) -> Path | None:
        """Return the file of the user's own model, or None."""
        return None if self.model in ("new", "champion") else Path(self.model)

    @model_validator(mode="after")
    def _check_user_model_settings(self) -> Config:
        for key in ("class_order", "mean", "std"):
            if self.user_model_file is None and getattr(self, key) is not None:
                raise ValueError(
                    f"train.{key} describes a model of your own: set train.model to its file"
                )
        return self


def run(
    config: Config,
    context: StageContext,
    *,
    images: pd.DataFrame,
    pixels: NDArray[np.uint8],
    classes: dict[str, list[str]],
    splits: pd.DataFrame,
) -> StageOutputs:
    """Return `model`, with its temperature fitted on the holdout, `history` and `training`.

    A new model is trained on the labeled images of `train` without a grouped holdout.

    Args:
        config: settings of the stage.
        context: seed, progress, notes and folders.
        images: the artifact of that name, as the further arguments.

    Raises:
        InputError: there are fewer than two classes to train on, the weights do not fit, or the
            model that is taken was trained for other classes.
    """
    from pipeline.learning.inference.mirror_safety import resolve_augmentation
    from pipeline.learning.training.holdout_split import select_training_images

    class_names = list(classes["names"])
    outputs = None
    if config.model == "champion":
        outputs = _take_champion(config, context, images, int(pixels.shape[1]), class_names)
        if outputs is None:
            context.add_note("there is no champion yet: a new model is trained")
    training_images = select_training_images(images, splits, pixels, class_names)
    if config.user_model_file:
        from pipeline.learning.models.model_adoption import adopt_user_model

        outputs = adopt_user_model(
            config, config.user_model_file, training_images, class_names, config.holdout, context
        )
    groups = images["group"].to_numpy(dtype=str)[training_images.image_rows]
    augmentation = resolve_augmentation(config, training_images, groups, context)
    if outputs is None:
        used_classes = {class_names[label] for label in np.unique(training_images.labels)}
        _check_classes(context, images, splits, class_names, used_classes)
        if config.class_balance == "none":
            _note_class_imbalance(context, training_images.labels, class_names)
        fit_config = config.model_copy(update=augmentation)
        outputs = _train_model(fit_config, context, training_images, groups, class_names)
        _note_larger_side(context, images, training_images, groups)
    outputs["training"] = outputs["training"] | {"augmentation": augmentation}
    return outputs


def fingerprint_external_inputs(
    config: Config, run_path: Path, earlier_fingerprint: str | None
) -> str:
    """Return a hash of the champion or of the files of weights, a part of the stage's key.

    A run uses the champion that was in force when it began: a later promotion, by itself or by
    another run, does not change the key.

    Args:
        config: settings of the stage.
        run_path: folder of the run.
        earlier_fingerprint: hash that this run recorded before.
    """
    if config.model == "champion":
        if earlier_fingerprint is not None:
            return earlier_fingerprint
        pointer = champion_registry.read_starting_champion(run_path)
        if pointer:
            bundle = champion_registry.find_bundle(run_path.parent, pointer)
            return champion_registry.fingerprint_bundle(bundle)
    if config.user_model_file:
        sidecar = config.user_model_file.with_name("config.json")
        files = [file for file in (config.user_model_file, sidecar) if file.is_file()]
        return compute_key([hash_content(file) for file in files])
    weights = Path(config.weights)
    if config.weights in ("packaged", "hub", "auto", "none") or not weights.is_file():
        return ""
    return hash_content(weights)


def _take_champion(
    config: Config, context: StageContext, images: pd.DataFrame, side: int, class_names: list[str]
) -> StageOutputs | None:
    """Return the outputs with the champion as the model, or None if there is none yet."""
    pointer = champion_registry.read_starting_champion(context.runs_folder / context.run_id)
    folder = champion_registry.find_bundle(context.runs_folder, pointer)
    if not pointer or not folder:
        return None
    from pipeline.learning.models.model_adoption import adopt_champion

    _note_relabeled_images(context, str(pointer["run_id"]), images)
    return adopt_champion(folder, class_names, side, config.holdout, context)


def _note_relabeled_images(
    context: StageContext, champion_run_id: str, images: pd.DataFrame
) -> None:
    """Note the images whose label differs from that in the champion's run, if it still exists."""
    try:
        champion_run = RunFolder.open_existing(context.runs_folder / champion_run_id)
        known = champion_run.load_artifact("images").drop_duplicates("image_id")
    except InputError:
        return
    before = images["image_id"].map(known.set_index("image_id")["label"])
    is_changed = before.notna() & images["label"].notna() & (before != images["label"])
    changed = images[is_changed]
    if len(changed):
        first = changed.iloc[0]
        context.add_note(
            f"labels changed since the champion's run: {len(changed):,}, "
            f"such as {first['path']}: {before[changed.index[0]]}, now {first['label']}"
        )


def _train_model(
    config: Config,
    context: StageContext,
    training_images: TrainingImages,
    groups: NDArray[np.str_],
    class_names: list[str],
) -> StageOutputs:
    from pipeline.learning.inference.model_outputs import compute_logits
    from pipeline.learning.inference.temperature_scaling import fit_temperature
    from pipeline.learning.models.backbone import build_network, save_model
    from pipeline.learning.models.hub_weights import choose_initial_weights
    from pipeline.learning.training.holdout_split import split_holdout
    from pipeline.learning.training.training_loop import fit_network

    fitted_images, holdout_images = split_holdout(
        training_images, groups, config.holdout, context.seed
    )
    if not holdout_images:
        context.add_note(
            "train has too few groups for a holdout: no early stop, no temperature, "
            "the gap is not judged"
        )
    side = int(training_images.pixels.shape[1])
    backbone, weights = config.backbone, config.weights
    if weights == "auto":
        initial = choose_initial_weights(backbone)
        context.add_note(describe_initial_weights(initial))
        backbone, weights = initial.backbone, initial.source
    model, meta = build_network(
        backbone, weights, class_names, side, config.dropout, seed=context.seed
    )
    fitted = fit_network(
        model,
        meta,
        fitted_images,
        config,
        holdout=holdout_images,
        seed=context.seed,
        scratch_folder=context.scratch_folder / "fit",
        track=context.track_progress,
        report_note=context.add_note,
    )
    holdout_logits = compute_logits(fitted.model, holdout_images.load_pixels(), meta)
    temperature = fit_temperature(holdout_logits, holdout_images.labels)
    holdout = {"share": config.holdout, "seed": context.seed, "images": len(holdout_images)}
    meta = meta | {"temperature": temperature}
    return {
        "model": save_model(context.scratch_folder / "model", fitted.model, meta),
        "history": fitted.history,
        "training": _build_training_record(fitted, temperature, holdout),
    }


def _note_class_imbalance(
    context: StageContext, labels: NDArray[np.int64], class_names: list[str]
) -> None:
    """Note the rarest class that is trained on, if the largest one is much larger."""
    present, counts = np.unique(labels, return_counts=True)
    if counts.max() >= MIN_IMBALANCE * counts.min():
        rarest = class_names[present[counts.argmin()]]
        context.add_note(describe_class_imbalance(rarest, int(counts.min()), int(counts.max())))


def _note_larger_side(
    context: StageContext,
    images: pd.DataFrame,
    training_images: TrainingImages,
    groups: NDArray[np.str_],
) -> None:
    """Note what the side costs in accuracy, if the images are larger."""
    from pipeline.learning.inference.side_accuracy import compare_sides

    comparison = compare_sides(
        images, training_images, groups, context.seed, context.track_progress
    )
    if comparison:
        context.add_note(describe_side_comparison(comparison))


def _check_classes(
    context: StageContext,
    images: pd.DataFrame,
    splits: pd.DataFrame,
    class_names: list[str],
    used_classes: set[str],
) -> None:
    """Raise `InputError` below two classes; note each class without a training image."""
    if len(used_classes) < 2:
        content = f"only {next(iter(used_classes))}" if used_classes else "no labeled image"
        raise InputError(
            f"train: the training split holds {content}; two classes are needed; "
            "see split.train_where"
        )
    is_val = (splits["split"] == "val").to_numpy()
    counts = images.loc[is_val, "label"].value_counts()
    for name in class_names:
        if name not in used_classes:
            count = int(counts.get(name, 0))
            context.add_note(
                f"class {name} is absent from train: its {count} images of val cannot be recognized"
            )


def _build_training_record(
    fitted: FitResult, temperature: float, holdout: dict[str, Any]
) -> dict[str, Any]:
    from pipeline.learning.training.overfitting import assess_overfitting

    return {
        "best_step": fitted.best_step,
        "steps": fitted.step_count,
        "passes": fitted.image_passes,
        "temperature": temperature,
        **assess_overfitting(fitted.history),
        "origin": ModelOrigin.TRAINED,
        "model_file": None,
        "holdout": holdout,
    }
