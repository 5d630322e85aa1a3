"""The same fit as train, from the same start, equal passes, no early stop: targeted, control and generic arms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.contracts import Context, Made
from pipeline.learning.settings import PROGRAM, FitSettings
from pipeline.remedies import treat
from pipeline.store import write_json

if TYPE_CHECKING:
    from pipeline.learning.batches import Photos, Treatment

FRESH = 1000  # seeds that no search and no training has used start here


class Config(FitSettings):
    """Settings that all arms share."""

    epochs: float = Field(4.0, gt=0, description="how often each photo is shown")
    rate: float = Field(5e-4, gt=0, description="highest learning rate, after the warm-up; cosine to zero from there")
    seeds: int = Field(5, ge=1, le=50, description="fresh seeds of each arm; with one, its luck cannot be judged")
    generic: bool = Field(True, description="train an arm with TrivialAugment too, to be measured against")


@dataclass(frozen=True)
class _Arms:
    """What all arms share."""

    config: Config
    context: Context
    photos: Photos
    held: Photos
    model: Path
    folder: Path

    @property
    def settings(self) -> Config:
        """With the passes of the photos as they are, however often an arm repeats some."""
        passes = self.config.passes or round(self.config.epochs * len(self.photos))
        return self.config.model_copy(update={"passes": max(passes, 1)})

    def train(self, arm: str, seed: int, treatment: Treatment | None, photos: Photos, last: bool) -> dict[str, Any]:
        """Fit one arm from the model's weights on `photos`, or its `last` layer alone; its entry of candidates.json."""
        from pipeline.learning.backbone import load_model, save_model
        from pipeline.learning.calibration import fit_temperature
        from pipeline.learning.fit import fit
        from pipeline.learning.predict import logits

        network, meta = load_model(self.model)
        fitted = fit(
            network,
            meta,
            photos,
            self.settings.model_copy(update={"head_only": last or self.config.head_only}),
            treatment=treatment,
            seed=seed,
            scratch=self.context.scratch / f"fit-{arm}-{seed}",
            track=self.context.track,
            note=self.context.note,
        )
        file = f"{arm}-{seed}.safetensors"
        save_model(self.folder, fitted.model, meta, file)
        temperature = fit_temperature(logits(fitted.model, self.held.load(), meta), self.held.labels)
        return {
            "arm": arm,
            "seed": seed,
            "file": file,
            "passes": fitted.passes,
            "rows": len(photos),
            "loss": fitted.loss,
            "temperature": temperature if self.held else float(meta.get("temperature") or 1.0),
            "history": fitted.history.drop(columns="split").to_dict("records"),
        }


def run(
    config: Config,
    context: Context,
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
) -> Made:
    """Train the control arm (nothing new), the targeted arm (the plan's remedies) and, where it is set, the generic arm
    (TrivialAugment on every view), once a seed.

    All start from `model` and see the same photos in the same order, as often, to the end. Where the plan only weighs
    photos anew, the last layer alone learns in the targeted arm (Kirichenko et al. 2023). Makes `candidates`: one
    safetensors file an arm and seed, and candidates.json [{arm, seed, file, passes, rows, loss, temperature, history}],
    control first; an empty list where nothing was prescribed.
    """
    from pipeline.learning.backbone import load_meta, trains
    from pipeline.learning.generic import trivial_augment
    from pipeline.learning.holdout import as_in_training, training_photos
    from pipeline.learning.planned import Pool, last_layer, repeated, treatment_of

    folder = context.scratch / "candidates"
    folder.mkdir(exist_ok=True)
    entries: list[dict[str, Any]] = []
    if plan.empty:
        context.note("no remedy was prescribed for training photos: nothing is retrained")
    elif not trains(Path(model)):
        context.note("the model has no weights that learn: nothing is retrained; corrections before it still hold")
    else:
        photos = training_photos(images, splits, pixels, list(classes["names"]))
        rest, held = as_in_training(photos, images, training, context.seed)
        arms = _Arms(config, context, rest, held, Path(model), folder)
        pool = Pool.of(simulated, simulated_pixels)
        treatments: dict[str, Treatment | None] = {"control": None, "targeted": treatment_of(plan, images, treat, pool)}
        treatments |= {"generic": trivial_augment()} if config.generic else {}
        seeds = range(context.seed + FRESH, context.seed + FRESH + config.seeds)
        shown = dict.fromkeys(treatments, rest) | {"targeted": repeated(plan, images, rest)}
        headed = load_meta(Path(model))["backbone"] != PROGRAM  # a user's program learns as a whole
        last = {"targeted"} if headed and last_layer(plan) else set()
        entries = [
            arms.train(arm, seed, treatments[arm], shown[arm], arm in last) for seed in seeds for arm in treatments
        ]
    write_json(folder / "candidates.json", entries)
    return {"candidates": folder}
