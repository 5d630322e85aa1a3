"""What a plan makes of training photos: which are shown more often, and what a batch is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.learning.batches import Photos, Pixels, Treatment

REPEATED = "oversampling"  # the plan's rows for photos that are shown more often; the dose says how often
Treat = Callable[[str, Pixels, float, float, int], Pixels]
"""(remedy, pixels, low, high, seed) -> pixels of the same shape."""


@dataclass(frozen=True)
class Pool:
    """Simulated photos: rows of `pixels` uint8 [n, S, S, 3] by (slice, label)."""

    pixels: Pixels
    rows: Mapping[tuple[str, str], NDArray[np.intp]]

    @classmethod
    def of(cls, simulated: pd.DataFrame, pixels: Pixels) -> Pool:
        """Of the artifacts of these names."""
        kinds = zip(simulated["slice"], simulated["label"], strict=True)
        rows: dict[tuple[str, str], list[int]] = {}
        for row, kind in enumerate(kinds):
            rows.setdefault(kind, []).append(row)
        return cls(pixels, {kind: np.array(found, dtype=np.intp) for kind, found in rows.items()})

    def draw(self, slice_: str, labels: Sequence[str], seed: int) -> Pixels:
        """A photo of the slice's condition for each label, uint8 [labels, S, S, 3]."""
        rng = np.random.default_rng([seed, 2])
        return np.asarray(self.pixels[[int(rng.choice(self.rows[slice_, label])) for label in labels]])


def treatment_of(plan: pd.DataFrame, images: pd.DataFrame, treat: Treat, pool: Pool | None = None) -> Treatment:
    """What a batch is given: of the plan's rows for a photo at most one, drawn by their probabilities, anew each time.

    plan: the artifact; the probabilities of a photo's rows sum to 1 or less, but for those that only repeat it.
    pool: what rows with a simulator show in the photo's place; always of its label, so that labels and their order are
    those of the control arm.
    """
    plan = plan[plan["remedy"] != REPEATED]
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

    def treatment(rows: NDArray[np.intp], pixels: Pixels, seed: int) -> Pixels:
        chosen, out = draw(rows, seed), pixels.copy()
        for number, dose in enumerate(sorted({c for c in chosen if c})):
            here, (remedy, low, high, shows) = np.array([c == dose for c in chosen]), dose
            if shows and pool:
                out[here] = pool.draw(shows, images["label"].iloc[rows[here]].tolist(), seed + number)
            else:
                out[here] = treat(remedy, pixels[here], low, high, (seed + number) % 2**32)
        return out

    return treatment


def repeated(plan: pd.DataFrame, images: pd.DataFrame, photos: Photos) -> Photos:
    """The photos with those that the plan shows more often repeated: the largest dose of a photo counts."""
    dose = plan[plan["remedy"] == REPEATED].groupby("image_id")["dose_low"].max()
    times = images["image_id"].map(dose).fillna(1.0).to_numpy()[photos.rows].round().astype(int)
    more = np.repeat(np.arange(len(photos)), times - 1)
    return photos.take(np.concatenate([np.arange(len(photos)), more])) if len(more) else photos
