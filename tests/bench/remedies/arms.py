"""The arms: what each shows the same model, for as many passes, from the same start.

Each trained once and kept.
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
from pipeline.stages import retrain
from pipeline.stages import train as training
from pipeline.stages.retrain import RETRAIN_SEED_OFFSET
from pipeline.storage.artifact_store import compute_key, hash_content

UPWEIGHT, SHORT = (
    20,
    0.1,
)  # of JTT: times that an error is shown; share of the training that its first model gets
WRONG = ("blur", 1.0, 2.0)  # nothing that night does
torchvision = cast(Any, v2)


class Subject(Protocol):
    """What arms are made from: the day-trained protocol, or a planted cause (see these)."""

    @property
    def names(self) -> list[str]: ...
    @property
    def images(self) -> pd.DataFrame: ...
    @property
    def pixels(self) -> NDArray[np.uint8]: ...
    @property
    def model(self) -> Path: ...
    @property
    def plan(self) -> pd.DataFrame: ...
    @property
    def training_images(self) -> TrainingImages: ...
    @property
    def left_out(self) -> TrainingImages: ...
    @property
    def test(self) -> NDArray[np.intp]: ...
    @property
    def settings(self) -> retrain.Config: ...
    @property
    def learned(self) -> training.Config: ...
    def right(self, logits: NDArray[np.floating[Any]], /) -> NDArray[np.bool_]: ...


@dataclass(frozen=True)
class Arm:
    """What is shown, and how each image is treated."""

    select_images: Callable[[Subject], TrainingImages]
    treatment: Callable[[Subject], BatchTreatment | None]


def _as_they_are(protocol: Subject) -> TrainingImages:
    return protocol.training_images


def _with_dark(protocol: Subject) -> TrainingImages:
    ours, more = protocol.training_images, protocol.left_out
    return TrainingImages(
        ours.pixels,
        np.concatenate([ours.image_rows, more.image_rows]),
        np.concatenate([ours.labels, more.labels]),
    )


def _errors_again(protocol: Subject) -> TrainingImages:
    """Just Train Twice (Liu et al. 2021): the images that a model trained for a short time misreads, `UPWEIGHT` times.

    The finished model misreads none of its training images; the paper, too, stops its first model early.
    """
    images, learned = protocol.training_images, protocol.learned
    short = learned.model_copy(
        update={"image_passes": max(1, int(SHORT * (learned.image_passes or len(images))))}
    )
    side = images.pixels.shape[1]
    model, meta = build_network(
        learned.backbone, learned.weights, protocol.names, side, learned.dropout, seed=0
    )
    with TemporaryDirectory() as scratch:
        first = fit_network(model, meta, images, short, seed=0, scratch_folder=Path(scratch)).model
    wrong = np.flatnonzero(
        compute_logits(first, images.load_pixels(), meta).argmax(1) != images.labels
    )
    return images.select_images(
        np.concatenate([np.arange(len(images)), np.repeat(wrong, UPWEIGHT - 1)])
    )


def plan_with(protocol: Subject, remedy: str, low: float, high: float) -> pd.DataFrame:
    """The product's plan with another remedy in the same images, as often."""
    return protocol.plan.assign(remedy=remedy, strength_low=low, strength_high=high)


def _as_planned(protocol: Subject) -> TrainingImages:
    return repeat_planned_images(protocol.plan, protocol.images, protocol.training_images)


def _planned(protocol: Subject) -> BatchTreatment:
    return build_targeted_treatment(protocol.plan, protocol.images, apply_remedy)


ARMS = {
    "control": Arm(_as_they_are, lambda p: None),
    "targeted": Arm(_as_planned, _planned),
    "oracle": Arm(_with_dark, lambda p: None),
    "TrivialAugment": Arm(_as_they_are, lambda p: create_trivial_augment()),
    "RandAugment": Arm(_as_they_are, lambda p: wrap_transform(torchvision.RandAugment())),
    "AugMix": Arm(_as_they_are, lambda p: wrap_transform(torchvision.AugMix())),
    "brightness and contrast .2": Arm(
        _as_they_are, lambda p: wrap_transform(torchvision.ColorJitter(0.2, 0.2))
    ),
    "JTT": Arm(_errors_again, lambda p: None),
    "wrong remedy": Arm(
        _as_they_are,
        lambda p: build_targeted_treatment(plan_with(p, *WRONG), p.images, apply_remedy),
    ),
}


def train(protocol: Subject, arm: Arm, seed: int, folder: Path, name: str) -> Path:
    """The arm's weights `<name>-<seed>.safetensors` in `folder`, trained where they are not there yet."""
    file = f"{name}-{seed}.safetensors"
    if not (folder / file).exists():
        model, meta = load_model(protocol.model)
        with TemporaryDirectory() as scratch:
            treatment = arm.treatment(protocol)
            images = arm.select_images(protocol)
            made = fit_network(
                model,
                meta,
                images,
                protocol.settings,
                treatment=treatment,
                seed=RETRAIN_SEED_OFFSET + seed,
                scratch_folder=Path(scratch),
            )
        save_model(folder, made.model, meta, file)
    return folder / file


def answers(protocol: Subject, name: str, seed: int, folder: Path) -> NDArray[np.bool_]:
    """bool [test]: what one arm and seed gets right.

    Kept for the plan and the budget that it came from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = [
        hash_content(protocol.model / "model.safetensors"),
        compute_key(protocol.plan.to_json()),
    ]
    key, kept = json.dumps([*parts, protocol.settings.model_dump()]), folder / "key.json"
    if not kept.exists() or kept.read_text() != key:
        for kind in ("*.np*", "*.safetensors", "placebos-*.json"):
            for old in folder.glob(kind):
                old.unlink()
        kept.write_text(key)
    file = folder / f"{name}-{seed}.npy"
    if not file.exists():
        weights = train(protocol, ARMS[name], seed, folder, name)
        model, meta = load_model(protocol.model, str(weights.resolve()))
        np.save(file, protocol.right(compute_logits(model, protocol.pixels[protocol.test], meta)))
    return np.asarray(np.load(file))
