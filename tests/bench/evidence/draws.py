"""Simulated models on images in groups: a slice, two classes, seeds, and planted changes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.statistics.model_comparison import ModelComparison, ModelOutput

CLASS_NAMES = ["badge", "no_badge"]
SLICE_NAME = "s1"
# Standard deviations on the probit scale. Difficulty is shared by all models, the rest is a model's
# own: two trainings of one recipe then disagree on about one image in six.
GROUP_DIFFICULTY, IMAGE_DIFFICULTY = 0.8, 0.7
GROUP_NOISE, IMAGE_NOISE = 0.35, 0.45
SEED_NOISE = 0.03  # a seed moves the accuracy by about one point
SLICE_ACCURACY, OTHER_ACCURACY = 0.7, 0.9
Shift = tuple[float, float, float]


@dataclass(frozen=True)
class ArmShifts:
    """Changes of accuracy by arm, as shares: (first class in the slice, second class, others).

    Attributes:
        control: of the control arm.
        targeted: of the targeted arm.
        champion: of the champion; None if the baseline is in force.
    """

    control: Shift = (0.0, 0.0, 0.0)
    targeted: Shift = (0.0, 0.0, 0.0)
    champion: Shift | None = None


@dataclass(frozen=True)
class SplitDesign:
    """How a split is drawn.

    Attributes:
        slice_groups: groups of the slice; twice as many are outside.
        seeds: seeds of each arm.
        shifts: changes by arm.
        images_per_group: mean number of images of a group.
        is_unequal: whether the sizes of groups are very unequal (log-normal, deviation 1).
        outside_factor: groups outside, as a multiple of those of the slice.
        seed_noise: standard deviation of a seed on the probit scale.
    """

    slice_groups: int
    seeds: int = 5
    shifts: ArmShifts = field(default_factory=ArmShifts)
    images_per_group: int = 4
    is_unequal: bool = False
    outside_factor: int = 2
    seed_noise: float = SEED_NOISE


def draw_group_sizes(
    rng: np.random.Generator, count: int, mean_size: int, *, is_unequal: bool
) -> NDArray[np.intp]:
    """Return the number of images of each group, [count]."""
    if not is_unequal:
        return np.full(count, mean_size, dtype=np.intp)
    sizes = np.exp(rng.normal(0, 1.0, count)) * 0.75 * mean_size
    return np.clip(np.round(sizes), 1, 15 * mean_size).astype(np.intp)


def _compute_spread(seed_noise: float) -> float:
    """Return the standard deviation of one model's total on the probit scale."""
    parts = (GROUP_DIFFICULTY, IMAGE_DIFFICULTY, GROUP_NOISE, IMAGE_NOISE, seed_noise)
    return math.sqrt(sum(part**2 for part in parts))


def draw_comparison(rng: np.random.Generator, design: SplitDesign) -> ModelComparison:
    """Return models on one drawn split: `before`, `control`, `targeted`, and maybe `champion`."""
    group_count = (1 + design.outside_factor) * design.slice_groups
    sizes = draw_group_sizes(
        rng, group_count, design.images_per_group, is_unequal=design.is_unequal
    )
    groups = np.repeat(np.arange(group_count), sizes)
    is_inside = groups < design.slice_groups
    labels = (rng.permutation(group_count) % 2)[groups]
    difficulty = GROUP_DIFFICULTY * rng.normal(size=group_count)[
        groups
    ] + IMAGE_DIFFICULTY * rng.normal(size=len(groups))
    spread = _compute_spread(design.seed_noise)

    def predict(shift: Shift) -> NDArray[np.float32]:
        by_image = np.where(is_inside, np.array(shift[:2])[labels], shift[2])
        base = np.where(is_inside, SLICE_ACCURACY, OTHER_ACCURACY)
        own = (
            GROUP_NOISE * rng.normal(size=group_count)[groups]
            + IMAGE_NOISE * rng.normal(size=len(groups))
            + design.seed_noise * rng.normal()
        )
        threshold = spread * stats.norm.ppf(np.clip(base + by_image, 0.01, 0.99))
        predicted = np.where(difficulty + own < threshold, labels, 1 - labels)
        return np.asarray(4 * np.eye(2, dtype=np.float32)[predicted])

    models = [ModelOutput("before", None, predict((0.0, 0.0, 0.0)))]
    if design.shifts.champion is not None:
        models.append(ModelOutput("champion", None, predict(design.shifts.champion)))
    for seed in range(design.seeds):
        models.append(ModelOutput("control", seed, predict(design.shifts.control)))
        models.append(ModelOutput("targeted", seed, predict(design.shifts.targeted)))
    names = np.array([f"g{group}" for group in range(group_count)])
    return ModelComparison(
        labels.astype(np.intp), names[groups], CLASS_NAMES, models, {SLICE_NAME: is_inside}
    )
