"""Stage `retrain`: train the control, targeted and generic arms from the same model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.contracts import StageContext, StageOutputs
from pipeline.domain.statuses import SeedOutcome
from pipeline.domain.validation_set import ValidationSet
from pipeline.learning.training_settings import FitSettings, LoopSettings
from pipeline.remedies import apply_remedy
from pipeline.slices.comparison.seed_stages import SEEDS_FILE
from pipeline.slices.prescription.real_images import find_planned_members, select_real_images
from pipeline.storage.artifact_store import compute_key, hash_content, read_json, write_json

if TYPE_CHECKING:
    from pipeline.learning.training.arm_training import ArmTrainer

RETRAIN_SEED_OFFSET = 1000
"""First seed of the arms above the run's seed, so that neither training nor search has used it."""


class Config(LoopSettings):
    """Settings that all arms share; their augmentation is that of `train`."""

    epochs: float = Field(
        2.0,
        gt=0,
        description="how often each image is trained on, in each training of an arm: with a "
        "quarter of the epochs of `train`, a refused run costs twice the passes of `train`",
    )
    learning_rate: float = Field(
        5e-4,
        gt=0,
        description="highest learning rate, reached after the warm-up; a cosine to zero follows",
    )
    distillation: float = Field(
        0.33,
        ge=0,
        lt=1,
        description="share of the target that is the prediction of the model before",
    )
    seeds: int = Field(
        3,
        ge=1,
        le=50,
        description="seeds of each arm; with a single one the luck of the seed cannot be judged",
    )
    generic: bool = Field(
        True,
        description="train an arm with TrivialAugment too, as a comparison, if a planned slice "
        "gains on validation",
    )
    real_repeats: int = Field(
        5,
        ge=0,
        le=100,
        description="largest factor by which validation images of the planned slices are repeated "
        "in training, one half for each of two trainings a seed; 0: none is trained on",
    )
    reuse_arms: bool = Field(
        True, description="take trainings that an earlier run has done in just the same way"
    )
    ladder: bool = Field(
        False,
        description="train the remedies without these images too, to show what the images add",
    )


def run(
    config: Config,
    context: StageContext,
    *,
    images: pd.DataFrame,
    pixels: NDArray[np.uint8],
    classes: dict[str, list[str]],
    splits: pd.DataFrame,
    model: Path,
    training: dict[str, Any],
    validation_set: ValidationSet,
    membership: pd.DataFrame,
    explanations: pd.DataFrame,
    plan: pd.DataFrame,
    simulated: pd.DataFrame,
    simulated_pixels: NDArray[np.uint8],
) -> StageOutputs:
    """Return `candidates`: the weights of each arm and seed, and `candidates.json`.

    The control arm gets no treatment, the targeted arm the remedies of the plan, and the generic
    arm TrivialAugment. All arms start from `model` and see the same images in the same order and
    equally often, without early stopping. With two trainings a seed, each is trained on one half of
    the validation images too: of the planned slices in the targeted arm, as many random ones in the
    others. Seeds after the second and the generic arm are left out if validation can hardly pass.
    The list is empty if nothing was prescribed.

    Args:
        config: settings of the stage.
        context: seed, progress, notes and folders.
        images: the artifact of that name, as the further arguments.
    """
    from pipeline.learning.models.backbone import has_trainable_weights
    from pipeline.learning.training.arm_training import build_arms
    from pipeline.learning.training.holdout_split import (
        recreate_holdout_split,
        select_training_images,
    )
    from pipeline.slices.comparison.candidate_training import CandidateTraining

    folder = context.scratch_folder / "candidates"
    folder.mkdir(exist_ok=True)
    obstacle = _find_obstacle(plan, has_trainable_weights(Path(model)))
    if obstacle:
        context.add_note(obstacle)
        write_json(folder / "candidates.json", [])
        return {"candidates": folder}
    training_images = select_training_images(images, splits, pixels, list(classes["names"]))
    fitted_images, holdout_images = recreate_holdout_split(
        training_images, images, training, context.seed
    )
    arms = build_arms(
        fitted_images,
        Path(model),
        apply_remedy,
        config.generic,
        images=images,
        plan=plan,
        simulated=simulated,
        simulated_pixels=simulated_pixels,
    )
    planned_slices = set(plan["slice"])
    real_images = select_real_images(
        validation_set,
        explanations,
        planned_slices,
        fitted_images.labels,
        config.real_repeats,
        context.seed,
    )
    if config.real_repeats and real_images is None:
        context.add_note(
            "no validation image is trained on: a half of the set has none of a planned slice"
        )
    first_seed = context.seed + RETRAIN_SEED_OFFSET
    candidates = CandidateTraining(
        _create_trainer(
            config, context, training, len(fitted_images), Path(model), [pixels, simulated_pixels]
        ),
        range(first_seed, first_seed + config.seeds),
        validation_set,
        find_planned_members(validation_set, membership, planned_slices),
        real_images,
        pixels,
        holdout_images,
        folder,
    )
    entries = candidates.train_arms(arms, has_treatment_step=config.ladder)
    _note_left_out_trainings(config, context, entries, read_json(folder / SEEDS_FILE))
    write_json(folder / "candidates.json", entries)
    return {"candidates": folder}


def _find_obstacle(plan: pd.DataFrame, is_trainable: bool) -> str | None:
    """Return why nothing is retrained, or None."""
    if plan.empty:
        return "no remedy was prescribed for training images: nothing is retrained"
    if not is_trainable:
        return (
            "the model has no trainable weights: nothing is retrained; "
            "corrections of its input still hold"
        )
    return None


def _create_trainer(
    config: Config,
    context: StageContext,
    training: dict[str, Any],
    image_count: int,
    model: Path,
    pixel_arrays: list[NDArray[np.uint8]],
) -> ArmTrainer:
    """Return the trainer of all arms.

    Args:
        config: settings of the stage.
        context: folders, progress and notes.
        training: the artifact of that name, with the augmentation of `train`.
        image_count: number of training images.
        model: the model that all arms start from.
        pixel_arrays: everything that is trained on.
    """
    from pipeline.learning.training.arm_store import STORED_ARMS_FOLDER, ArmStore, hash_arrays
    from pipeline.learning.training.arm_training import ArmTrainer

    loop_settings = {name: getattr(config, name) for name in LoopSettings.model_fields}
    return ArmTrainer(
        FitSettings(**training["augmentation"], **loop_settings),
        image_count,
        model,
        context.scratch_folder / "fits",
        context,
        ArmStore(context.runs_folder / STORED_ARMS_FOLDER) if config.reuse_arms else None,
        compute_key(hash_content(model), hash_arrays(pixel_arrays)),
    )


def _note_left_out_trainings(
    config: Config, context: StageContext, entries: list[dict[str, Any]], seeds: dict[str, Any]
) -> None:
    """Note which trainings were left out or taken from an earlier run, and why."""
    if seeds["outcome"] == SeedOutcome.FUTILE:
        context.add_note(
            f"{seeds['trained']} of {seeds['planned']} seeds are trained, and no generic arm: "
            f"validation would pass with probability {seeds['conditional_power']:.2f} at most"
        )
    elif config.generic and all(entry["arm"] != "generic" for entry in entries):
        context.add_note(
            "the generic arm is not trained: no planned slice gains on validation, so that the "
            "gate refuses without it"
        )
    reused = sum(entry.get("reused", 0) for entry in entries)
    if reused:
        context.add_note(
            f"{reused} trainings of arms were done before with the same start, seed, images, "
            "treatment and settings; retrain.reuse_arms=false trains them again"
        )
