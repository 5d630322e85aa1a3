"""What a plan makes of training photos: which are shown more often, and what a batch is given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.learning.batches import Photos, Pixels, Treatment

REPEATED = "oversampling"  # the plan's rows for photos that are shown more often; the dose says how often
Treat = Callable[[str, Pixels, float, float, int], Pixels]
"""(remedy, pixels, low, high, seed) -> pixels of the same shape."""


def treatment_of(plan: pd.DataFrame, images: pd.DataFrame, treat: Treat) -> Treatment:
    """What a batch is given: of the plan's rows for a photo at most one, drawn by their probabilities, anew each time.

    plan: the artifact; the probabilities of a photo's rows sum to 1 or less, but for those that only repeat it.
    """
    plan, recipe = plan[plan["remedy"] != REPEATED], ["remedy", "dose_low", "dose_high"]
    number = {image_id: row for row, image_id in enumerate(images["image_id"])}
    upto = plan.groupby("image_id")["probability"].cumsum()
    table = plan.assign(row=[number[i] for i in plan["image_id"]], upto=upto)
    ladder = {number[str(image_id)]: part for image_id, part in table.groupby("image_id")}

    def draw(rows: NDArray[np.intp], seed: int) -> list[tuple[str, float, float] | None]:
        drawn = np.random.default_rng([seed, 1]).random(len(rows))
        chosen: list[tuple[str, float, float] | None] = []
        for row, at in zip(rows.tolist(), drawn, strict=True):
            part = ladder.get(row)
            step = int(np.searchsorted(part["upto"].to_numpy(), at, side="right")) if part is not None else 0
            chosen.append(tuple(part[recipe].iloc[step]) if part is not None and step < len(part) else None)
        return chosen

    def treatment(rows: NDArray[np.intp], pixels: Pixels, seed: int) -> Pixels:
        chosen, out = draw(rows, seed), pixels.copy()
        for number, dose in enumerate(sorted({c for c in chosen if c})):
            here = np.array([c == dose for c in chosen])
            out[here] = treat(dose[0], pixels[here], dose[1], dose[2], (seed + number) % 2**32)
        return out

    return treatment


def repeated(plan: pd.DataFrame, images: pd.DataFrame, photos: Photos) -> Photos:
    """The photos with those that the plan shows more often repeated: the largest dose of a photo counts."""
    dose = plan[plan["remedy"] == REPEATED].groupby("image_id")["dose_low"].max()
    times = images["image_id"].map(dose).fillna(1.0).to_numpy()[photos.rows].round().astype(int)
    more = np.repeat(np.arange(len(photos)), times - 1)
    return photos.take(np.concatenate([np.arange(len(photos)), more])) if len(more) else photos
