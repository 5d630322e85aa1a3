"""The same fit as train, from the same start, equal passes, no early stop: targeted, control and generic arms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.contracts import StageContext, StageOutputs
from pipeline.learning.training_settings import PROGRAM_BACKBONE, FitSettings
from pipeline.remedies import apply_remedy
from pipeline.storage.artifact_store import write_json

if TYPE_CHECKING:
    from pipeline.learning.training.batch_sampling import BatchTreatment, TrainingImages

RETRAIN_SEED_OFFSET = 1000  # seeds that no search and no training has used start here


class Config(FitSettings):
    """Settings that all arms share."""

    epochs: float = Field(4.0, gt=0, description="how often each image is shown")
    learning_rate: float = Field(
        5e-4,
        gt=0,
        description="highest learning rate, after the warm-up; cosine to zero from there",
    )
    seeds: int = Field(
        5, ge=1, le=50, description="fresh seeds of each arm; with one, its luck cannot be judged"
    )
    generic: bool = Field(
        True, description="train an arm with TrivialAugment too, to be measured against"
    )


@dataclass(frozen=True)
class _ArmTrainer:
    """What all arms share."""

    config: Config
    context: StageContext
    training_images: TrainingImages
    holdout_images: TrainingImages
    model_folder: Path
    output_folder: Path

    @property
    def fit_settings(self) -> Config:
        """With the passes of the images as they are, however often an arm repeats some."""
        passes = self.config.image_passes or round(self.config.epochs * len(self.training_images))
        return self.config.model_copy(update={"image_passes": max(passes, 1)})

    def train_arm(
        self,
        arm: str,
        seed: int,
        treatment: BatchTreatment | None,
        arm_images: TrainingImages,
        is_last_layer_only: bool,
    ) -> dict[str, Any]:
        """Fit one arm from the model's weights on `images`, or its `last` layer alone; its entry of candidates.json."""
        from pipeline.learning.inference.model_outputs import compute_logits
        from pipeline.learning.inference.temperature_scaling import fit_temperature
        from pipeline.learning.models.backbone import load_model, save_model
        from pipeline.learning.training.training_loop import fit_network

        network, meta = load_model(self.model_folder)
        fitted = fit_network(
            network,
            meta,
            arm_images,
            self.fit_settings.model_copy(
                update={"head_only": is_last_layer_only or self.config.head_only}
            ),
            treatment=treatment,
            seed=seed,
            scratch_folder=self.context.scratch_folder / f"fit-{arm}-{seed}",
            track=self.context.track_progress,
            report_note=self.context.add_note,
        )
        file = f"{arm}-{seed}.safetensors"
        save_model(self.output_folder, fitted.model, meta, file)
        temperature = fit_temperature(
            compute_logits(fitted.model, self.holdout_images.load_pixels(), meta),
            self.holdout_images.labels,
        )
        return {
            "arm": arm,
            "seed": seed,
            "file": file,
            "passes": fitted.image_passes,
            "rows": len(arm_images),
            "loss": fitted.training_loss,
            "temperature": temperature
            if self.holdout_images
            else float(meta.get("temperature") or 1.0),
            "history": fitted.history.drop(columns="split").to_dict("records"),
        }


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
    plan: pd.DataFrame,
    simulated: pd.DataFrame,
    simulated_pixels: NDArray[np.uint8],
) -> StageOutputs:
    """Train the control arm (nothing new), the targeted arm (the plan's remedies) and, where it is set, the generic arm
    (TrivialAugment on every view), once a seed.

    All start from `model` and see the same photos in the same order, as often, to the end. Where the plan only weighs
    photos anew, the last layer alone learns in the targeted arm (Kirichenko et al. 2023). Makes `candidates`: one
    safetensors file an arm and seed, and candidates.json [{arm, seed, file, passes, rows, loss, temperature, history}],
    control first; an empty list where nothing was prescribed.
    """
    from pipeline.learning.models.backbone import has_trainable_weights, load_model_metadata
    from pipeline.learning.training.generic_augmentation import create_trivial_augment
    from pipeline.learning.training.holdout_split import (
        recreate_holdout_split,
        select_training_images,
    )
    from pipeline.learning.training.targeted_treatment import (
        SimulatedImages,
        build_targeted_treatment,
        is_last_layer_only,
        repeat_planned_images,
    )

    folder = context.scratch_folder / "candidates"
    folder.mkdir(exist_ok=True)
    entries: list[dict[str, Any]] = []
    if plan.empty:
        context.add_note("no remedy was prescribed for training photos: nothing is retrained")
    elif not has_trainable_weights(Path(model)):
        context.add_note(
            "the model has no weights that learn: nothing is retrained; corrections before it still hold"
        )
    else:
        photos = select_training_images(images, splits, pixels, list(classes["names"]))
        rest, held = recreate_holdout_split(photos, images, training, context.seed)
        arms = _ArmTrainer(config, context, rest, held, Path(model), folder)
        pool = SimulatedImages.create_from_table(simulated, simulated_pixels)
        treatments: dict[str, BatchTreatment | None] = {
            "control": None,
            "targeted": build_targeted_treatment(plan, images, apply_remedy, pool),
        }
        treatments |= {"generic": create_trivial_augment()} if config.generic else {}
        seeds = range(
            context.seed + RETRAIN_SEED_OFFSET, context.seed + RETRAIN_SEED_OFFSET + config.seeds
        )
        shown = dict.fromkeys(treatments, rest) | {
            "targeted": repeat_planned_images(plan, images, rest)
        }
        headed = (
            load_model_metadata(Path(model))["backbone"] != PROGRAM_BACKBONE
        )  # a user's program learns as a whole
        last = {"targeted"} if headed and is_last_layer_only(plan) else set()
        entries = [
            arms.train_arm(arm, seed, treatments[arm], shown[arm], arm in last)
            for seed in seeds
            for arm in treatments
        ]
    write_json(folder / "candidates.json", entries)
    return {"candidates": folder}
