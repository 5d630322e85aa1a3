"""What a plan makes of training images: which are shown more often, and what a batch is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.learning.training.batch_sampling import PixelArray, TrainingImages

REWEIGHTING_REMEDY = (
    "reweighting"  # the plan's rows for images that weigh more; the strength says how much
)
REPEATING_REMEDIES = (
    "oversampling",
    REWEIGHTING_REMEDY,
)  # the plan's rows for images that are shown more often; the strength says how often
RemedyFunction = Callable[[str, PixelArray, float, float, int], PixelArray]
"""(remedy, pixels, low, high, seed) -> pixels of the same shape."""


@dataclass(frozen=True)
class SimulatedImages:
    """Simulated images: rows of `pixels` uint8 [n, S, S, 3] by (slice, label)."""

    pixels: PixelArray
    rows_by_slice_label: Mapping[tuple[str, str], NDArray[np.intp]]

    @classmethod
    def create_from_table(cls, simulated: pd.DataFrame, pixels: PixelArray) -> SimulatedImages:
        """Of the artifacts of these names."""
        kinds = zip(simulated["slice"], simulated["label"], strict=True)
        rows: dict[tuple[str, str], list[int]] = {}
        for row, kind in enumerate(kinds):
            rows.setdefault(kind, []).append(row)
        return cls(pixels, {kind: np.array(found, dtype=np.intp) for kind, found in rows.items()})

    def draw_images(self, slice_name: str, labels: Sequence[str], seed: int) -> PixelArray:
        """A image of the slice's condition for each label, uint8 [labels, S, S, 3]."""
        rng = np.random.default_rng([seed, 2])
        return np.asarray(
            self.pixels[
                [int(rng.choice(self.rows_by_slice_label[slice_name, label])) for label in labels]
            ]
        )


@dataclass(frozen=True)
class RemedyStrength:
    """What a image is given. shows: the slice whose simulated images stand in its place; empty: it stays."""

    remedy: str
    low: float
    high: float
    simulated_slice: str


@dataclass(frozen=True)
class TargetedTreatment:
    """A plan as a `Treatment`. ladder: of a row of `images`, its strengths, and up to where in [0, 1] each is drawn."""

    strength_choices: Mapping[int, tuple[NDArray[np.float64], Sequence[RemedyStrength]]]
    labels: Sequence[str]
    apply_remedy: RemedyFunction
    simulated_images: SimulatedImages | None

    def _draw_strengths(self, rows: NDArray[np.intp], seed: int) -> list[RemedyStrength | None]:
        drawn = np.random.default_rng([seed, 1]).random(len(rows))
        chosen: list[RemedyStrength | None] = []
        for row, at in zip(rows.tolist(), drawn, strict=True):
            upto, strengths = self.strength_choices.get(row, (np.zeros(0), ()))
            step = int(np.searchsorted(upto, at, side="right"))
            chosen.append(strengths[step] if step < len(strengths) else None)
        return chosen

    def group_drawn_strengths(
        self, rows: NDArray[np.intp], seed: int
    ) -> list[tuple[NDArray[np.intp], RemedyStrength, int]]:
        """(positions in `rows`, what those images are given, seed): a image is in one of these at most."""
        chosen = self._draw_strengths(rows, seed)
        kinds = sorted({c for c in chosen if c}, key=astuple)
        where = [np.array([n for n, c in enumerate(chosen) if c == kind]) for kind in kinds]
        return [
            (at, kind, seed + number)
            for number, (at, kind) in enumerate(zip(where, kinds, strict=True))
        ]

    def apply_strength(
        self, strength: RemedyStrength, rows: NDArray[np.intp], pixels: PixelArray, seed: int
    ) -> PixelArray:
        """Images of these rows after a strength: uint8 [n, S, S, 3], as `pixels`."""
        if strength.simulated_slice and self.simulated_images:
            return self.simulated_images.draw_images(
                strength.simulated_slice, [self.labels[row] for row in rows.tolist()], seed
            )
        return self.apply_remedy(strength.remedy, pixels, strength.low, strength.high, seed % 2**32)

    def __call__(self, rows: NDArray[np.intp], pixels: PixelArray, seed: int) -> PixelArray:
        """As `Treatment`."""
        out = pixels.copy()
        for at, strength, own in self.group_drawn_strengths(rows, seed):
            out[at] = self.apply_strength(strength, rows[at], pixels[at], own)
        return out


def build_targeted_treatment(
    plan: pd.DataFrame,
    images: pd.DataFrame,
    apply_remedy: RemedyFunction,
    simulated_images: SimulatedImages | None = None,
) -> TargetedTreatment:
    """What a batch is given: of the plan's rows for a image at most one, drawn by their probabilities, anew each time.

    plan: the artifact; the probabilities of a image's rows sum to 1 or less, but for those that only repeat it.
    pool: what rows with a simulator show in the image's place; always of its label, so that labels and their order are
    those of the control arm.
    """
    plan = plan[~plan["remedy"].isin(REPEATING_REMEDIES)]
    plan = plan.assign(shows=plan["slice"].where(plan["simulator"].notna(), "").astype("str"))
    number = {image_id: row for row, image_id in enumerate(images["image_id"])}
    recipe = ["remedy", "strength_low", "strength_high", "shows"]
    ladder = {}
    for image_id, part in plan.groupby("image_id"):
        strengths = [RemedyStrength(*row) for row in part[recipe].itertuples(index=False)]
        ladder[number[str(image_id)]] = (part["probability"].cumsum().to_numpy(), strengths)
    return TargetedTreatment(ladder, images["label"].tolist(), apply_remedy, simulated_images)


def repeat_planned_images(
    plan: pd.DataFrame, images: pd.DataFrame, training_images: TrainingImages
) -> TrainingImages:
    """The images with those that the plan shows more often repeated: the largest strength of a image counts."""
    strength = plan[plan["remedy"].isin(REPEATING_REMEDIES)].groupby("image_id")["strength_low"].max()
    times = (
        images["image_id"]
        .map(strength)
        .fillna(1.0)
        .to_numpy()[training_images.image_rows]
        .round()
        .astype(int)
    )
    more = np.repeat(np.arange(len(training_images)), times - 1)
    return (
        training_images.select_images(np.concatenate([np.arange(len(training_images)), more]))
        if len(more)
        else training_images
    )


def is_last_layer_only(plan: pd.DataFrame) -> bool:
    """Whether all that a plan asks for is asked of the last layer, which is then the only one to learn."""
    return len(plan) > 0 and bool((plan["remedy"] == REWEIGHTING_REMEDY).all())
