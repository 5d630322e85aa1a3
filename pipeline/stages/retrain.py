"""The same fit as train, from the same start, equal passes, no early stop: a targeted arm and a control arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.contracts import Context, Made
from pipeline.learning.settings import FitSettings
from pipeline.remedies import treat
from pipeline.store import write_json

if TYPE_CHECKING:
    from pipeline.learning.batches import Photos, Treatment

ARMS = ("control", "targeted")
FRESH = 1000  # seeds that no search and no training has used start here


class Config(FitSettings):
    """Settings that both arms share."""

    epochs: float = Field(4.0, gt=0, description="how often each photo is shown")
    rate: float = Field(5e-4, gt=0, description="highest learning rate, after the warm-up; cosine to zero from there")
    seeds: int = Field(1, ge=1, le=50, description="pairs of arms; with one, the luck of a seed cannot be judged")


@dataclass(frozen=True)
class Pool:
    """Simulated photos: rows of `pixels` uint8 [n, S, S, 3] by (slice, label)."""

    pixels: NDArray[np.uint8]
    rows: Mapping[tuple[str, str], NDArray[np.intp]]

    @classmethod
    def of(cls, simulated: pd.DataFrame, pixels: NDArray[np.uint8]) -> Pool:
        """Of the artifacts of these names."""
        kinds = zip(simulated["slice"], simulated["label"], strict=True)
        rows: dict[tuple[str, str], list[int]] = {}
        for row, kind in enumerate(kinds):
            rows.setdefault(kind, []).append(row)
        return cls(pixels, {kind: np.array(found, dtype=np.intp) for kind, found in rows.items()})

    def draw(self, slice_: str, labels: Sequence[str], seed: int) -> NDArray[np.uint8]:
        """A photo of the slice's condition for each label, uint8 [labels, S, S, 3]."""
        rng = np.random.default_rng([seed, 2])
        return np.asarray(self.pixels[[int(rng.choice(self.rows[slice_, label])) for label in labels]])


def treatment_of(plan: pd.DataFrame, images: pd.DataFrame, pool: Pool | None = None) -> Treatment:
    """What a batch is given: of the plan's rows for a photo at most one, drawn by their probabilities, anew each time.

    plan: the artifact; the probabilities of a photo's rows sum to 1 or less. pool: what rows with a simulator show in
    the photo's place; always of its label, so that labels and their order are those of the control arm.
    """
    plan = plan.assign(shows=plan["slice"].where(plan["simulator"].notna(), "").astype("str"))
    recipe = ["remedy", "dose_low", "dose_high", "shows"]
    number = {image_id: row for row, image_id in enumerate(images["image_id"])}
    upto = plan.groupby("image_id")["probability"].cumsum()
    table = plan.assign(row=[number[i] for i in plan["image_id"]], upto=upto)
    ladder = {number[str(image_id)]: part for image_id, part in table.groupby("image_id")}

    def draw(rows: NDArray[np.intp], seed: int) -> list[tuple[str, float, float, str] | None]:
        drawn = np.random.default_rng([seed, 1]).random(len(rows))
        chosen: list[tuple[str, float, float, str] | None] = []
        for row, at in zip(rows.tolist(), drawn, strict=True):
            part = ladder.get(row)
            step = int(np.searchsorted(part["upto"].to_numpy(), at, side="right")) if part is not None else 0
            chosen.append(tuple(part[recipe].iloc[step]) if part is not None and step < len(part) else None)
        return chosen

    def treatment(rows: NDArray[np.intp], pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        chosen, out = draw(rows, seed), pixels.copy()
        for number, dose in enumerate(sorted({c for c in chosen if c})):
            here, (remedy, low, high, shows) = np.array([c == dose for c in chosen]), dose
            if shows and pool:
                out[here] = pool.draw(shows, images["label"].iloc[rows[here]].tolist(), seed + number)
            else:
                out[here] = treat(remedy, pixels[here], low, high, seed=(seed + number) % 2**32)
        return out

    return treatment


@dataclass(frozen=True)
class _Arms:
    """What all arms share."""

    config: Config
    context: Context
    photos: Photos
    held: Photos
    model: Path
    folder: Path

    def train(self, arm: str, seed: int, treatment: Treatment | None) -> dict[str, Any]:
        """Fit one arm from the model's weights; its entry of candidates.json."""
        from pipeline.learning.backbone import load_model, save_model
        from pipeline.learning.calibration import fit_temperature
        from pipeline.learning.fit import fit
        from pipeline.learning.predict import logits

        network, meta = load_model(self.model)
        fitted = fit(
            network,
            meta,
            self.photos,
            self.config,
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
            "rows": len(self.photos),
            "loss": fitted.loss,
            "temperature": temperature if self.held else float(meta.get("temperature") or 1.0),
        }


def _parts(images: pd.DataFrame, photos: Photos, training: dict[str, Any], seed: int) -> tuple[Photos, Photos]:
    """The photos that `train` learnt from, and its holdout, which stays unseen."""
    from pipeline.learning.holdout import hold_out

    known = training.get("holdout") or {"share": 0.1, "seed": seed}
    return hold_out(photos, images["group"].to_numpy(dtype=str)[photos.rows], known["share"], known["seed"])


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
    """Train the control arm (nothing new) and the targeted arm (the plan's remedies), once a seed.

    Both start from `model` and see the same photos in the same order, as often, to the end. Makes `candidates`: one
    safetensors file an arm and seed, and candidates.json [{arm, seed, file, passes, rows, loss, temperature}], control
    first; an empty list where nothing was prescribed.
    """
    from pipeline.learning.holdout import training_photos

    folder = context.scratch / "candidates"
    folder.mkdir(exist_ok=True)
    entries: list[dict[str, Any]] = []
    if plan.empty:
        context.note("no remedy was prescribed for training photos: nothing is retrained")
    else:
        photos = training_photos(images, splits, pixels, list(classes["names"]))
        rest, held = _parts(images, photos, training, context.seed)
        arms = _Arms(config, context, rest, held, Path(model), folder)
        treatments = {"control": None, "targeted": treatment_of(plan, images, Pool.of(simulated, simulated_pixels))}
        seeds = range(context.seed + FRESH, context.seed + FRESH + config.seeds)
        entries = [arms.train(arm, seed, treatments[arm]) for seed in seeds for arm in ARMS]
    write_json(folder / "candidates.json", entries)
    return {"candidates": folder}
