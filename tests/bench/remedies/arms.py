"""The arms: images and treatment with which the same model trains on, with equal budget.

Each is trained once and kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torchvision.transforms import v2

from pipeline.learning.batches.batch_sampling import BatchTreatment, TrainingImages
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import build_network, load_model, save_model
from pipeline.learning.training.generic_augmentation import create_trivial_augment, wrap_transform
from pipeline.learning.training.targeted_treatment import (
    build_targeted_treatment,
    repeat_planned_images,
)
from pipeline.learning.training.training_loop import fit_network
from pipeline.remedies import apply_remedy
from pipeline.stages import retrain, train
from pipeline.stages.retrain import RETRAIN_SEED_OFFSET
from pipeline.storage.artifact_store import compute_key, hash_content

# Of Just Train Twice: how often an error is shown, and the budget share of its first model.
JTT_REPEATS, JTT_FIRST_SHARE = 20, 0.1
WRONG_REMEDY = ("blur", 1.0, 2.0)  # nothing that night does
KEPT_FILES = ("*.np*", "*.safetensors", "placebos-*.json")
transforms = cast(Any, v2)


class ArmSource(Protocol):
    """What arms are trained from: the day-trained protocol, or a planted cause."""

    @property
    def class_names(self) -> list[str]: ...
    @property
    def images(self) -> pd.DataFrame: ...
    @property
    def pixels(self) -> NDArray[np.uint8]: ...
    @property
    def model_folder(self) -> Path: ...
    @property
    def plan(self) -> pd.DataFrame: ...
    @property
    def training_images(self) -> TrainingImages: ...
    @property
    def oracle_images(self) -> TrainingImages: ...
    @property
    def test_rows(self) -> NDArray[np.intp]: ...
    @property
    def retrain_settings(self) -> retrain.Config: ...
    @property
    def train_settings(self) -> train.Config: ...
    def compute_correctness(self, logits: NDArray[np.floating[Any]], /) -> NDArray[np.bool_]: ...


@dataclass(frozen=True)
class Arm:
    """An arm.

    Attributes:
        select_images: returns the images that it trains on.
        build_treatment: returns how each image is treated, or None.
    """

    select_images: Callable[[ArmSource], TrainingImages]
    build_treatment: Callable[[ArmSource], BatchTreatment | None]


def select_training_images(source: ArmSource) -> TrainingImages:
    """Return the training images, each once."""
    return source.training_images


def add_oracle_images(source: ArmSource) -> TrainingImages:
    """Return the training images and those that only the oracle gets."""
    own, added = source.training_images, source.oracle_images
    rows = np.concatenate([own.image_rows, added.image_rows])
    return TrainingImages(own.pixels, rows, np.concatenate([own.labels, added.labels]))


def repeat_misclassified_images(source: ArmSource) -> TrainingImages:
    """Return the training images, those repeated that a first model misclassifies.

    Just Train Twice (Liu et al. 2021). The first model is stopped early, as in the paper: the
    finished model predicts all its training images correctly.
    """
    images = source.training_images
    settings = source.train_settings
    full_passes = settings.image_passes or len(images)
    first_passes = max(1, int(JTT_FIRST_SHARE * full_passes))
    network, meta = build_network(
        settings.backbone,
        settings.weights,
        source.class_names,
        images.pixels.shape[1],
        settings.dropout,
        seed=0,
    )
    with TemporaryDirectory() as scratch:
        first = fit_network(
            network,
            meta,
            images,
            settings.model_copy(update={"image_passes": first_passes}),
            seed=0,
            scratch_folder=Path(scratch),
        ).model
    predictions = compute_logits(first, images.load_pixels(), meta).argmax(1)
    misclassified = np.flatnonzero(predictions != images.labels)
    repeated = np.repeat(misclassified, JTT_REPEATS - 1)
    return images.select_images(np.concatenate([np.arange(len(images)), repeated]))


def replace_remedy(source: ArmSource, remedy: str, low: float, high: float) -> pd.DataFrame:
    """Return the product's plan with another remedy in the same images, as often.

    Args:
        source: the protocol or planted cause.
        remedy: name of the other remedy.
        low: lowest strength, in the unit of that remedy.
        high: highest strength.
    """
    return source.plan.assign(remedy=remedy, strength_low=low, strength_high=high)


def repeat_images_by_plan(source: ArmSource) -> TrainingImages:
    """Return the training images, repeated as planned."""
    return repeat_planned_images(source.plan, source.images, source.training_images)


def build_planned_treatment(source: ArmSource) -> BatchTreatment:
    """Return the treatment of the plan."""
    return build_targeted_treatment(source.plan, source.images, apply_remedy)


def build_wrong_treatment(source: ArmSource) -> BatchTreatment:
    """Return the treatment of the plan with a remedy that does not fit."""
    plan = replace_remedy(source, *WRONG_REMEDY)
    return build_targeted_treatment(plan, source.images, apply_remedy)


def _use_no_treatment(_source: ArmSource) -> None:
    return None


def _build_generic_arm(create_treatment: Callable[[], BatchTreatment]) -> Arm:
    return Arm(select_training_images, lambda source: create_treatment())


ARMS = {
    "control": Arm(select_training_images, _use_no_treatment),
    "targeted": Arm(repeat_images_by_plan, build_planned_treatment),
    "oracle": Arm(add_oracle_images, _use_no_treatment),
    "TrivialAugment": _build_generic_arm(create_trivial_augment),
    "RandAugment": _build_generic_arm(lambda: wrap_transform(transforms.RandAugment())),
    "AugMix": _build_generic_arm(lambda: wrap_transform(transforms.AugMix())),
    "brightness and contrast .2": _build_generic_arm(
        lambda: wrap_transform(transforms.ColorJitter(0.2, 0.2))
    ),
    "JTT": Arm(repeat_misclassified_images, _use_no_treatment),
    "wrong remedy": Arm(select_training_images, build_wrong_treatment),
}


def train_arm(source: ArmSource, arm: Arm, seed: int, folder: Path, name: str) -> Path:
    """Return the weights `<name>-<seed>.safetensors` in `folder`; they are trained once.

    Args:
        source: the protocol or planted cause.
        arm: the arm.
        seed: seed of the arm, from 0.
        folder: folder of the weights.
        name: start of the file name.
    """
    file = f"{name}-{seed}.safetensors"
    if not (folder / file).exists():
        network, meta = load_model(source.model_folder)
        with TemporaryDirectory() as scratch:
            fitted = fit_network(
                network,
                meta,
                arm.select_images(source),
                source.retrain_settings,
                treatment=arm.build_treatment(source),
                seed=RETRAIN_SEED_OFFSET + seed,
                scratch_folder=Path(scratch),
            )
        save_model(folder, fitted.model, meta, file)
    return folder / file


def measure_correctness(source: ArmSource, name: str, seed: int, folder: Path) -> NDArray[np.bool_]:
    """Return bool [test]: whether one arm and seed predicts an image correctly.

    It is kept as long as the baseline, the plan and the budget are the same.

    Args:
        source: the protocol or planted cause.
        name: key of `ARMS`.
        seed: seed of the arm, from 0.
        folder: folder of the weights and the results.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_outdated_files(source, folder)
    file = folder / f"{name}-{seed}.npy"
    if not file.exists():
        weights = train_arm(source, ARMS[name], seed, folder, name)
        network, meta = load_model(source.model_folder, str(weights.resolve()))
        logits = compute_logits(network, source.pixels[source.test_rows], meta)
        np.save(file, source.compute_correctness(logits))
    return np.asarray(np.load(file))


def _remove_outdated_files(source: ArmSource, folder: Path) -> None:
    model_hash = hash_content(source.model_folder / "model.safetensors")
    plan_key = compute_key(source.plan.to_json())
    key = json.dumps([model_hash, plan_key, source.retrain_settings.model_dump()])
    key_file = folder / "key.json"
    if key_file.exists() and key_file.read_text() == key:
        return
    for pattern in KEPT_FILES:
        for file in folder.glob(pattern):
            file.unlink()
    key_file.write_text(key)
