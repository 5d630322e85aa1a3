"""The arms: what each shows the same model, for as many passes, from the same start; each trained once and kept."""

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

from pipeline.learning.backbone import build, load_model, save_model
from pipeline.learning.batches import Photos, Treatment
from pipeline.learning.fit import fit
from pipeline.learning.generic import as_treatment, trivial_augment
from pipeline.learning.planned import repeated, treatment_of
from pipeline.learning.predict import logits
from pipeline.remedies import treat
from pipeline.stages import retrain
from pipeline.stages import train as training
from pipeline.stages.retrain import FRESH
from pipeline.store import digest, key_of

UPWEIGHT, SHORT = 20, 0.1  # of JTT: times that an error is shown; share of the training that its first model gets
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
    def photos(self) -> Photos: ...
    @property
    def left_out(self) -> Photos: ...
    @property
    def test(self) -> NDArray[np.intp]: ...
    @property
    def settings(self) -> retrain.Config: ...
    @property
    def learned(self) -> training.Config: ...
    def right(self, logits: NDArray[np.floating[Any]], /) -> NDArray[np.bool_]: ...


@dataclass(frozen=True)
class Arm:
    """What is shown, and how each photo is treated."""

    photos: Callable[[Subject], Photos]
    treatment: Callable[[Subject], Treatment | None]


def _as_they_are(protocol: Subject) -> Photos:
    return protocol.photos


def _with_dark(protocol: Subject) -> Photos:
    ours, more = protocol.photos, protocol.left_out
    return Photos(ours.pixels, np.concatenate([ours.rows, more.rows]), np.concatenate([ours.labels, more.labels]))


def _errors_again(protocol: Subject) -> Photos:
    """Just Train Twice (Liu et al. 2021): the photos that a model trained for a short time misreads, `UPWEIGHT` times.

    The finished model misreads none of its training photos; the paper, too, stops its first model early.
    """
    photos, learned = protocol.photos, protocol.learned
    short = learned.model_copy(update={"passes": max(1, int(SHORT * (learned.passes or len(photos))))})
    side = photos.pixels.shape[1]
    model, meta = build(learned.backbone, learned.weights, protocol.names, side, learned.dropout, seed=0)
    with TemporaryDirectory() as scratch:
        first = fit(model, meta, photos, short, seed=0, scratch=Path(scratch)).model
    wrong = np.flatnonzero(logits(first, photos.load(), meta).argmax(1) != photos.labels)
    return photos.take(np.concatenate([np.arange(len(photos)), np.repeat(wrong, UPWEIGHT - 1)]))


def plan_with(protocol: Subject, remedy: str, low: float, high: float) -> pd.DataFrame:
    """The product's plan with another remedy in the same photos, as often."""
    return protocol.plan.assign(remedy=remedy, dose_low=low, dose_high=high)


def _as_planned(protocol: Subject) -> Photos:
    return repeated(protocol.plan, protocol.images, protocol.photos)


def _planned(protocol: Subject) -> Treatment:
    return treatment_of(protocol.plan, protocol.images, treat)


ARMS = {
    "control": Arm(_as_they_are, lambda p: None),
    "targeted": Arm(_as_planned, _planned),
    "oracle": Arm(_with_dark, lambda p: None),
    "TrivialAugment": Arm(_as_they_are, lambda p: trivial_augment()),
    "RandAugment": Arm(_as_they_are, lambda p: as_treatment(torchvision.RandAugment())),
    "AugMix": Arm(_as_they_are, lambda p: as_treatment(torchvision.AugMix())),
    "brightness and contrast .2": Arm(_as_they_are, lambda p: as_treatment(torchvision.ColorJitter(0.2, 0.2))),
    "JTT": Arm(_errors_again, lambda p: None),
    "wrong remedy": Arm(_as_they_are, lambda p: treatment_of(plan_with(p, *WRONG), p.images, treat)),
}


def train(protocol: Subject, arm: Arm, seed: int, folder: Path, name: str) -> Path:
    """The arm's weights `<name>-<seed>.safetensors` in `folder`, trained where they are not there yet."""
    file = f"{name}-{seed}.safetensors"
    if not (folder / file).exists():
        model, meta = load_model(protocol.model)
        with TemporaryDirectory() as scratch:
            treatment = arm.treatment(protocol)
            photos = arm.photos(protocol)
            made = fit(
                model, meta, photos, protocol.settings, treatment=treatment, seed=FRESH + seed, scratch=Path(scratch)
            )
        save_model(folder, made.model, meta, file)
    return folder / file


def answers(protocol: Subject, name: str, seed: int, folder: Path) -> NDArray[np.bool_]:
    """bool [test]: what one arm and seed gets right; kept for the plan and the budget that it came from."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [digest(protocol.model / "model.safetensors"), key_of(protocol.plan.to_json())]
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
        np.save(file, protocol.right(logits(model, protocol.pixels[protocol.test], meta)))
    return np.asarray(np.load(file))
