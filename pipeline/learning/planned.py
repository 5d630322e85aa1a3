"""What a plan makes of training photos: which are shown more often, and what a batch is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.learning.batches import Photos, Pixels

WEIGHED = "reweighting"  # the plan's rows for photos that weigh more; the dose says how much
REPEATED = ("oversampling", WEIGHED)  # the plan's rows for photos that are shown more often; the dose says how often
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


@dataclass(frozen=True)
class Dose:
    """What a photo is given. shows: the slice whose simulated photos stand in its place; empty: it stays."""

    remedy: str
    low: float
    high: float
    shows: str


@dataclass(frozen=True)
class Planned:
    """A plan as a `Treatment`. ladder: of a row of `images`, its doses, and up to where in [0, 1] each is drawn."""

    ladder: Mapping[int, tuple[NDArray[np.float64], Sequence[Dose]]]
    labels: Sequence[str]
    treat: Treat
    pool: Pool | None

    def _drawn(self, rows: NDArray[np.intp], seed: int) -> list[Dose | None]:
        drawn = np.random.default_rng([seed, 1]).random(len(rows))
        chosen: list[Dose | None] = []
        for row, at in zip(rows.tolist(), drawn, strict=True):
            upto, doses = self.ladder.get(row, (np.zeros(0), ()))
            step = int(np.searchsorted(upto, at, side="right"))
            chosen.append(doses[step] if step < len(doses) else None)
        return chosen

    def drawn(self, rows: NDArray[np.intp], seed: int) -> list[tuple[NDArray[np.intp], Dose, int]]:
        """(positions in `rows`, what those photos are given, seed): a photo is in one of these at most."""
        chosen = self._drawn(rows, seed)
        kinds = sorted({c for c in chosen if c}, key=astuple)
        where = [np.array([n for n, c in enumerate(chosen) if c == kind]) for kind in kinds]
        return [(at, kind, seed + number) for number, (at, kind) in enumerate(zip(where, kinds, strict=True))]

    def given(self, dose: Dose, rows: NDArray[np.intp], pixels: Pixels, seed: int) -> Pixels:
        """Photos of these rows after a dose: uint8 [n, S, S, 3], as `pixels`."""
        if dose.shows and self.pool:
            return self.pool.draw(dose.shows, [self.labels[row] for row in rows.tolist()], seed)
        return self.treat(dose.remedy, pixels, dose.low, dose.high, seed % 2**32)

    def __call__(self, rows: NDArray[np.intp], pixels: Pixels, seed: int) -> Pixels:
        """As `Treatment`."""
        out = pixels.copy()
        for at, dose, own in self.drawn(rows, seed):
            out[at] = self.given(dose, rows[at], pixels[at], own)
        return out


def treatment_of(plan: pd.DataFrame, images: pd.DataFrame, treat: Treat, pool: Pool | None = None) -> Planned:
    """What a batch is given: of the plan's rows for a photo at most one, drawn by their probabilities, anew each time.

    plan: the artifact; the probabilities of a photo's rows sum to 1 or less, but for those that only repeat it.
    pool: what rows with a simulator show in the photo's place; always of its label, so that labels and their order are
    those of the control arm.
    """
    plan = plan[~plan["remedy"].isin(REPEATED)]
    plan = plan.assign(shows=plan["slice"].where(plan["simulator"].notna(), "").astype("str"))
    number = {image_id: row for row, image_id in enumerate(images["image_id"])}
    recipe = ["remedy", "dose_low", "dose_high", "shows"]
    ladder = {}
    for image_id, part in plan.groupby("image_id"):
        doses = [Dose(*row) for row in part[recipe].itertuples(index=False)]
        ladder[number[str(image_id)]] = (part["probability"].cumsum().to_numpy(), doses)
    return Planned(ladder, images["label"].tolist(), treat, pool)


def repeated(plan: pd.DataFrame, images: pd.DataFrame, photos: Photos) -> Photos:
    """The photos with those that the plan shows more often repeated: the largest dose of a photo counts."""
    dose = plan[plan["remedy"].isin(REPEATED)].groupby("image_id")["dose_low"].max()
    times = images["image_id"].map(dose).fillna(1.0).to_numpy()[photos.rows].round().astype(int)
    more = np.repeat(np.arange(len(photos)), times - 1)
    return photos.take(np.concatenate([np.arange(len(photos)), more])) if len(more) else photos


def last_layer(plan: pd.DataFrame) -> bool:
    """Whether all that a plan asks for is asked of the last layer, which is then the only one to learn."""
    return len(plan) > 0 and bool((plan["remedy"] == WEIGHED).all())
