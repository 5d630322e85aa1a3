"""Training of the arms that the gate compares: one start, one order of images, one budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import ProgressTracker, StageContext
from pipeline.learning.batches.batch_sampling import BatchTreatment, TrainingImages
from pipeline.learning.distributed import get_fabric
from pipeline.learning.models.backbone import (
    load_model,
    load_model_metadata,
    save_model,
    select_device,
)
from pipeline.learning.training.arm_store import (
    ArmStore,
    hash_arrays,
    hash_tables,
    hash_training_code,
)
from pipeline.learning.training.generic_augmentation import create_trivial_augment
from pipeline.learning.training.targeted_treatment import (
    RemedyFunction,
    SimulatedImages,
    build_targeted_treatment,
    is_last_layer_only,
    repeat_planned_images,
)
from pipeline.learning.training.training_loop import fit_network
from pipeline.learning.training_settings import PROGRAM_BACKBONE, FitSettings
from pipeline.storage.artifact_store import compute_key


@dataclass(frozen=True)
class TrainingArm:
    """One arm of the comparison.

    Attributes:
        name: control, targeted or generic.
        treatment: what is done to a batch before the common augmentation, or None.
        images: training images; planned ones may occur several times.
        is_head_only: whether the last layer alone is trained.
        treatment_key: equal for equal treatments; empty if it is unknown, so that the training is
            not stored.
    """

    name: str
    treatment: BatchTreatment | None
    images: TrainingImages
    is_head_only: bool = False
    treatment_key: str = ""


def build_arms(
    training_images: TrainingImages,
    model_folder: Path,
    apply_remedy: RemedyFunction,
    has_generic_arm: bool,
    *,
    images: pd.DataFrame,
    plan: pd.DataFrame,
    simulated: pd.DataFrame,
    simulated_pixels: NDArray[np.uint8],
) -> list[TrainingArm]:
    """Return the control arm, the targeted arm and, if wanted, the generic arm.

    If the plan only changes the weights of images, the last layer alone is trained in the targeted
    arm (Kirichenko et al. 2023), unless the model is a program without a separate last layer.

    Args:
        training_images: images of train without the holdout.
        model_folder: the model that all arms start from.
        apply_remedy: applies a remedy to pixels.
        has_generic_arm: whether TrivialAugment is compared too.
        images: the artifact of that name, as the further arguments.
        plan: treatments of the training images.
        simulated: images that a simulator drew.
        simulated_pixels: uint8 [simulated, side, side, 3].
    """
    simulations = SimulatedImages.create_from_table(simulated, simulated_pixels)
    has_separate_head = load_model_metadata(model_folder)["backbone"] != PROGRAM_BACKBONE
    plan_key = hash_tables([plan, images[["image_id", "label"]], simulated])
    targeted = TrainingArm(
        "targeted",
        build_targeted_treatment(plan, images, apply_remedy, simulations),
        repeat_planned_images(plan, images, training_images),
        has_separate_head and is_last_layer_only(plan),
        compute_key(plan_key, hash_training_code(set(plan["remedy"]))),
    )
    arms = [TrainingArm("control", None, training_images, treatment_key="none"), targeted]
    if has_generic_arm:
        trivial_augment = create_trivial_augment()
        arms.append(
            TrainingArm("generic", trivial_augment, training_images, treatment_key="generic")
        )
    return arms


def _name_units(track: ProgressTracker, owner: str) -> ProgressTracker:
    """Return a tracker whose units name what they belong to."""

    def track_owned(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        return track(items, total=total, unit=f"{unit} {owner}")

    return track_owned


@dataclass(frozen=True)
class ArmTrainer:
    """Trains arms from one model under the same settings.

    Attributes:
        settings: settings of the training.
        base_count: number of training images without repetitions; it fixes the budget of all arms.
        model_folder: the model that all arms start from.
        output_folder: folder of the trained weights.
        context: context of the stage.
        store: earlier trainings; None to train every arm.
        data_key: equal if the pixels of all images and the start are equal.
    """

    settings: FitSettings
    base_count: int
    model_folder: Path
    output_folder: Path
    context: StageContext
    store: ArmStore | None = None
    data_key: str = ""

    def train_arm(self, arm: TrainingArm, seed: int, name: str) -> tuple[Path, dict[str, Any]]:
        """Train one arm, and return the file of its weights and a record of the training.

        A training that the store holds under the same start, seed, images, treatment, settings,
        code and kind of device is not done again.

        Args:
            arm: the arm.
            seed: seed of the training.
            name: name of the weights file, without its ending.

        Returns:
            The file, and passes (image passes), rows (images that they were drawn from), loss,
            history (the training curves) and is_reused (whether another run did this training).
        """
        network, meta = load_model(self.model_folder)
        key = self._compute_key(arm, seed)
        file = f"{name}.safetensors"
        record = self.store.load_training(key, network) if self.store and key else None
        if record is not None:
            save_model(self.output_folder, network, meta, file)
            is_reused = record.pop("run_id") != self.context.run_id
            return self.output_folder / file, record | {"is_reused": is_reused}
        fitted = fit_network(
            network,
            meta,
            arm.images,
            self._get_fit_settings(arm),
            treatment=arm.treatment,
            seed=seed,
            scratch_folder=self.context.scratch_folder / f"fit-{name}",
            track=_name_units(self.context.track_progress, f"of {name}"),
            report_note=self.context.add_note,
        )
        save_model(self.output_folder, fitted.model, meta, file)
        record = {
            "passes": fitted.image_passes,
            "rows": len(arm.images),
            "loss": fitted.training_loss,
            "history": fitted.history.drop(columns="split").to_dict("records"),
        }
        if self.store and key:
            run_id = self.context.run_id
            self.store.save_training(key, fitted.model, record | {"run_id": run_id})
        return self.output_folder / file, record | {"is_reused": False}

    def _compute_key(self, arm: TrainingArm, seed: int) -> str:
        """Return the key of a training; empty if it may not be stored.

        Several processes would have to agree on what is stored, so they train every arm.
        """
        if not (self.data_key and arm.treatment_key) or get_fabric().world_size > 1:
            return ""
        return compute_key(
            self.data_key,
            hash_arrays([arm.images.image_rows, arm.images.labels]),
            arm.treatment_key,
            self._get_fit_settings(arm).model_dump(mode="json"),
            seed,
            select_device().type,
            hash_training_code(),
        )

    def _get_fit_settings(self, arm: TrainingArm) -> FitSettings:
        """Return the settings with the same number of image passes for every arm."""
        passes = self.settings.image_passes or round(self.settings.epochs * self.base_count)
        return self.settings.model_copy(
            update={
                "image_passes": max(passes, 1),
                "head_only": arm.is_head_only or self.settings.head_only,
            }
        )
