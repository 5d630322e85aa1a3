"""The effect of a plan on training: which images are repeated, and how batches are treated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.learning.batches.batch_sampling import PixelArray, RowIndices, TrainingImages
from pipeline.remedies import transfer_tones

REWEIGHTING_REMEDY = "reweighting"
"""The remedy of plan rows whose images weigh more; the strength is the weight."""
REPEATING_REMEDIES = ("oversampling", REWEIGHTING_REMEDY)
"""Remedies of plan rows whose images are repeated; the strength is the number of repetitions."""
RemedyFunction = Callable[[str, PixelArray, float, float, int], PixelArray]
"""(remedy, pixels, low, high, seed) -> pixels of the same shape."""


@dataclass(frozen=True)
class SimulatedImages:
    """Simulated images by slice and label.

    Attributes:
        pixels: uint8 [n, S, S, 3].
        rows_by_slice_label: rows of `pixels` by (slice, label).
    """

    pixels: PixelArray
    rows_by_slice_label: Mapping[tuple[str, str], RowIndices]

    @classmethod
    def create_from_table(cls, simulated: pd.DataFrame, pixels: PixelArray) -> SimulatedImages:
        """Return the simulated images of a table with the columns slice and label."""
        rows: dict[tuple[str, str], list[int]] = {}
        for row, key in enumerate(zip(simulated["slice"], simulated["label"], strict=True)):
            rows.setdefault(key, []).append(row)
        return cls(
            pixels, {key: np.array(key_rows, dtype=np.intp) for key, key_rows in rows.items()}
        )

    def draw_images(self, slice_name: str, labels: Sequence[str], seed: int) -> PixelArray:
        """Return a random image of the slice's condition for each label, uint8 [labels, S, S, 3].

        Args:
            slice_name: the slice.
            labels: the label of each image.
            seed: seed of the draw.
        """
        rng = np.random.default_rng([seed, 2])
        rows = []
        for label in labels:
            rows.append(int(rng.choice(self.rows_by_slice_label[slice_name, label])))
        return np.asarray(self.pixels[rows])


@dataclass(frozen=True)
class RemedyStrength:
    """A remedy and the range of its strength.

    Attributes:
        remedy: name of the remedy.
        low: lowest strength.
        high: highest strength.
        simulated_slice: slice whose simulated images replace the image; empty to keep the image.
        tone_slice: slice whose images lend their tones instead of the remedy; empty for none.
    """

    remedy: str
    low: float
    high: float
    simulated_slice: str
    tone_slice: str = ""


@dataclass(frozen=True)
class TargetedTreatment:
    """A plan as a `BatchTreatment`.

    Attributes:
        strength_choices: for each planned row of `images`, the cumulative probabilities of its
            strengths, and these strengths.
        labels: label of each row of `images`.
        apply_remedy: applies a remedy to pixels.
        simulated_images: simulated images, if the plan uses any.
        tone_images: by slice, real images that lend their tones, uint8 [n, S, S, 3] each. Without
            any, the remedy is applied.
    """

    strength_choices: Mapping[int, tuple[NDArray[np.float64], Sequence[RemedyStrength]]]
    labels: Sequence[str]
    apply_remedy: RemedyFunction
    simulated_images: SimulatedImages | None
    tone_images: Mapping[str, PixelArray] = field(default_factory=dict)

    def _draw_strengths(self, rows: RowIndices, seed: int) -> list[RemedyStrength | None]:
        """Return a random strength for each row, or None where the image stays as it is."""
        draws = np.random.default_rng([seed, 1]).random(len(rows))
        drawn_strengths: list[RemedyStrength | None] = []
        for row, draw in zip(rows.tolist(), draws, strict=True):
            cumulative_probabilities, strengths = self.strength_choices.get(row, (np.zeros(0), ()))
            choice = int(np.searchsorted(cumulative_probabilities, draw, side="right"))
            drawn_strengths.append(strengths[choice] if choice < len(strengths) else None)
        return drawn_strengths

    def group_drawn_strengths(
        self, rows: RowIndices, seed: int
    ) -> list[tuple[RowIndices, RemedyStrength, int]]:
        """Return the drawn strengths, each with its images.

        Args:
            rows: rows of `images` in a batch, [B].
            seed: seed of the draw.

        Returns:
            (positions in `rows`, strength, seed of its remedy) of each drawn strength. No position
            occurs twice.
        """
        drawn_strengths = self._draw_strengths(rows, seed)
        # Sorted, since the order of a set, and so the seeds, would differ between processes.
        distinct_strengths = sorted({drawn for drawn in drawn_strengths if drawn}, key=astuple)
        groups = []
        for number, strength in enumerate(distinct_strengths):
            positions = [n for n, drawn in enumerate(drawn_strengths) if drawn == strength]
            groups.append((np.array(positions), strength, seed + number))
        return groups

    def apply_strength(
        self, strength: RemedyStrength, rows: RowIndices, pixels: PixelArray, seed: int
    ) -> PixelArray:
        """Return the images after the remedy at this strength, uint8 [n, S, S, 3].

        Args:
            strength: the remedy and the range of its strength.
            rows: rows of `images`, [n].
            pixels: their pixels, uint8 [n, S, S, 3].
            seed: seed of the remedy.
        """
        if strength.simulated_slice and self.simulated_images:
            labels = [self.labels[row] for row in rows.tolist()]
            return self.simulated_images.draw_images(strength.simulated_slice, labels, seed)
        tone_images = self.tone_images.get(strength.tone_slice)
        if tone_images is not None and len(tone_images):
            return transfer_tones(pixels, tone_images, seed)
        return self.apply_remedy(strength.remedy, pixels, strength.low, strength.high, seed % 2**32)

    def __call__(self, rows: RowIndices, pixels: PixelArray, seed: int) -> PixelArray:
        """Return the treated pixels of a batch, as `BatchTreatment` does.

        Args:
            rows: rows of `images` in the batch, [B].
            pixels: their pixels, uint8 [B, S, S, 3]; not changed.
            seed: seed of the treatment.
        """
        treated = pixels.copy()
        for positions, strength, remedy_seed in self.group_drawn_strengths(rows, seed):
            treated[positions] = self.apply_strength(
                strength, rows[positions], pixels[positions], remedy_seed
            )
        return treated


def build_targeted_treatment(
    plan: pd.DataFrame,
    images: pd.DataFrame,
    apply_remedy: RemedyFunction,
    simulated_images: SimulatedImages | None = None,
) -> TargetedTreatment:
    """Return the treatment that applies at most one row of the plan to an image, at random.

    The row is drawn by the rows' probabilities, each time that the image is in a batch.

    Args:
        plan: the artifact of this name. The probabilities of an image's rows sum to 1 or less,
            apart from the rows that only repeat it.
        images: the artifact of this name.
        apply_remedy: applies a remedy to pixels.
        simulated_images: replacements of the images in rows with a simulator. They have the image's
            label, so that labels and their order are the same as in the control arm.
    """
    plan = plan[~plan["remedy"].isin(REPEATING_REMEDIES)]
    simulated_slice = plan["slice"].where(plan["simulator"].notna(), "").astype("str")
    plan = plan.assign(simulated_slice=simulated_slice)
    row_by_id = {image_id: row for row, image_id in enumerate(images["image_id"])}
    plan = _split_tone_views(plan)
    columns = ["remedy", "strength_low", "strength_high", "simulated_slice", "tone_slice"]
    strength_choices = {}
    for image_id, image_plan in plan.groupby("image_id"):
        cumulative_probabilities = image_plan["probability"].cumsum().to_numpy()
        strengths = [RemedyStrength(*row) for row in image_plan[columns].itertuples(index=False)]
        strength_choices[row_by_id[str(image_id)]] = (cumulative_probabilities, strengths)
    return TargetedTreatment(
        strength_choices, images["label"].tolist(), apply_remedy, simulated_images
    )


def _split_tone_views(plan: pd.DataFrame) -> pd.DataFrame:
    """Return the plan with rows of their own, and their `tone_slice`, for views with tones."""
    shares = plan["tone_share"]
    probabilities = plan["probability"]
    treated = plan.assign(tone_slice="", probability=probabilities * (1 - shares))
    toned = plan.assign(tone_slice=plan["slice"], probability=probabilities * shares)
    return pd.concat([treated, toned[shares > 0]])


def repeat_planned_images(
    plan: pd.DataFrame, images: pd.DataFrame, training_images: TrainingImages
) -> TrainingImages:
    """Return the training images, those that the plan repeats occurring several times.

    Args:
        plan: the artifact of this name; of several rows for an image, the largest strength counts.
        images: the artifact of this name.
        training_images: the images before the repetition.
    """
    repeating_rows = plan[plan["remedy"].isin(REPEATING_REMEDIES)]
    largest_strength = repeating_rows.groupby("image_id")["strength_low"].max()
    repetitions = images["image_id"].map(largest_strength).fillna(1.0).to_numpy()
    counts = repetitions[training_images.image_rows].round().astype(int)
    positions = np.arange(len(training_images))
    extra_positions = np.repeat(positions, counts - 1)
    if not len(extra_positions):
        return training_images
    return training_images.select_images(np.concatenate([positions, extra_positions]))


def is_last_layer_only(plan: pd.DataFrame) -> bool:
    """Return whether the plan reweights images only, so that the last layer alone is trained."""
    return len(plan) > 0 and bool((plan["remedy"] == REWEIGHTING_REMEDY).all())
