"""Trials of a mark on one fold: it is covered on its class and pasted into other classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.slices.finder_constants import CONSTANTS
from pipeline.slices.shortcuts.mark_masks import (
    Mask,
    Pixels,
    assign_cells,
    build_center_mask,
    find_mark_mask,
    find_object_mask,
    paste_pixels,
)
from pipeline.slices.shortcuts.shortcut_images import ShortcutImages
from pipeline.statistics.group_sampling import draw_round_robin

PredictFunction = Callable[[Pixels], NDArray[np.integer[Any]]]
CELL_PREFIX = "cell_"


@dataclass(frozen=True)
class MarkTrial:
    """A mark that was read from the other folds, and the images of one fold to try it on.

    Attributes:
        class_index: the class that bears the mark.
        fold: the fold of the images.
        mark: pixels of the mark, bool [side, side].
        class_positions: positions of the images of the class in the list of images, [n]; groups
            take turns.
        other_positions: likewise of the images of other classes.
    """

    class_index: int
    fold: int
    mark: Mask
    class_positions: NDArray[np.intp]
    other_positions: NDArray[np.intp]

    @property
    def image_count(self) -> int:
        """Return the larger number of images on either side."""
        return max(len(self.class_positions), len(self.other_positions))

    def count_predictions(self, grid_size: int) -> int:
        """Return the number of altered images that the model must predict."""
        per_class_image = grid_size * grid_size + 2  # every cell, the mark and the object
        per_other_image = 2  # the mark and the placebo
        return (
            len(self.class_positions) * per_class_image
            + len(self.other_positions) * per_other_image
        )

    def limit_images(self, max_images: int) -> MarkTrial:
        """Return the trial on at most `max_images` images of either side."""
        return replace(
            self,
            class_positions=self.class_positions[:max_images],
            other_positions=self.other_positions[:max_images],
        )


@dataclass(frozen=True)
class FoldResult:
    """The changed predictions of one trial.

    Attributes:
        class_outcomes: one row for each image of the class, bool columns: whether the prediction
            leaves the class with the mark (`covered`), each cell (`cell_0`, ...) or the object
            (`object`) covered; and `group`.
        other_outcomes: one row for each other image, bool columns: whether the prediction becomes
            the class with the mark (`pasted`), or the same pixels of another such image
            (`placebo`), pasted in; and `group`.
        mark: pixels of the mark, bool [side, side].
    """

    class_outcomes: pd.DataFrame
    other_outcomes: pd.DataFrame
    mark: Mask


def propose_trial(
    images: ShortcutImages, class_index: int, fold: int, max_images: int, rng: np.random.Generator
) -> MarkTrial | None:
    """Return the trial on one fold of the mark that the other folds show.

    Args:
        images: labeled images.
        class_index: the class whose mark is sought.
        fold: the fold of the trial.
        max_images: largest number of images on either side.
        rng: source of the samples.

    Returns:
        None without a mark, with too few groups to read it, or without images to try it on.
    """
    is_class, is_held_out = images.labels == class_index, images.folds == fold
    samples, held_out = [], []
    for side in (is_class, ~is_class):
        positions = np.flatnonzero(side & ~is_held_out)
        limit = CONSTANTS.shortcuts.max_mark_images
        samples.append(images.sample_distinct_groups(positions, limit, rng))
    for side in (is_class, ~is_class):
        positions = np.flatnonzero(side & is_held_out)
        held_out.append(draw_round_robin(images.groups, positions, max_images, rng))
    if min(map(len, samples)) < CONSTANTS.shortcuts.min_groups or not min(map(len, held_out)):
        return None
    mark = find_mark_mask(images.get_images(samples[0]), images.get_images(samples[1]))
    return MarkTrial(class_index, fold, mark, held_out[0], held_out[1]) if mark.any() else None


def limit_trials(trials: list[MarkTrial], grid_size: int, max_predictions: int) -> list[MarkTrial]:
    """Return the trials on the most images that the prediction limit allows, at least one each.

    Args:
        trials: trials of all classes and folds.
        grid_size: cells on each side of the image.
        max_predictions: largest number of altered images of all trials together.
    """

    def count_predictions(image_limit: int) -> int:
        total = 0
        for trial in trials:
            total += trial.limit_images(image_limit).count_predictions(grid_size)
        return total

    limit = max((trial.image_count for trial in trials), default=1)
    while limit > 1 and count_predictions(limit) > max_predictions:
        limit -= 1
    return [trial.limit_images(limit) for trial in trials]


def run_class_trials(
    images: ShortcutImages,
    trials: list[MarkTrial],
    predict_labels: PredictFunction,
    grid_size: int,
    seed: int,
) -> list[FoldResult]:
    """Return the results of one class's trials.

    The object on each fold is where covering changes most predictions on the other folds.

    Args:
        images: labeled images.
        trials: the trials of one class.
        predict_labels: pixels uint8 [n, side, side, 3] to class indices [n].
        grid_size: cells on each side of the image.
        seed: seed of donors and covers.
    """
    partial_results: list[FoldResult] = []
    originals: list[tuple[Pixels, Pixels]] = []
    for trial in trials:
        result, class_images, covers = _run_trial(images, trial, predict_labels, grid_size, seed)
        partial_results.append(result)
        originals.append((class_images, covers))
    changed_shares = np.array([_measure_cells(result) for result in partial_results])
    results = []
    for k, (result, (class_images, covers)) in enumerate(
        zip(partial_results, originals, strict=True)
    ):
        other_folds = np.delete(changed_shares, k, axis=0)
        if len(other_folds):
            object_mask = find_object_mask(other_folds.mean(0), result.mark, grid_size)
        else:
            object_mask = build_center_mask(len(result.mark)) & ~result.mark
        predictions = predict_labels(paste_pixels(class_images, covers, object_mask))
        outcomes = result.class_outcomes.assign(object=predictions != trials[k].class_index)
        results.append(replace(result, class_outcomes=outcomes))
    return results


def _measure_cells(result: FoldResult) -> NDArray[np.float64]:
    """Return the share of predictions that covering each cell changes, float64 [cells]."""
    cells = result.class_outcomes.filter(like=CELL_PREFIX)
    return cells.mean().to_numpy(dtype=np.float64)


def _run_trial(
    images: ShortcutImages,
    trial: MarkTrial,
    predict_labels: PredictFunction,
    grid_size: int,
    seed: int,
) -> tuple[FoldResult, Pixels, Pixels]:
    """Return the result without the object, the images of the class, and their covers."""
    rng = np.random.default_rng([seed, trial.class_index, trial.fold])
    class_images = images.get_images(trial.class_positions)
    other_images = images.get_images(trial.other_positions)
    covers = other_images[rng.integers(0, len(other_images), len(class_images))]
    mark_donors = images.get_images(rng.choice(trial.class_positions, len(other_images)))
    placebo_donors = other_images[_assign_partners(len(other_images), rng)]

    def predict_pasted(targets: Pixels, donors: Pixels, mask: Mask) -> NDArray[np.integer[Any]]:
        return predict_labels(paste_pixels(targets, donors, mask))

    covered = predict_pasted(class_images, covers, trial.mark)
    class_outcomes = {"covered": covered != trial.class_index}
    cells = assign_cells(trial.mark.shape[0], grid_size)
    for cell in range(grid_size * grid_size):
        covered = predict_pasted(class_images, covers, cells == cell)
        class_outcomes[f"{CELL_PREFIX}{cell}"] = covered != trial.class_index
    pasted = predict_pasted(other_images, mark_donors, trial.mark)
    placebo = predict_pasted(other_images, placebo_donors, trial.mark)
    class_groups = images.groups[trial.class_positions]
    other_groups = images.groups[trial.other_positions]
    other_outcomes = {
        "pasted": pasted == trial.class_index,
        "placebo": placebo == trial.class_index,
    }
    result = FoldResult(
        pd.DataFrame(class_outcomes).assign(group=class_groups),
        pd.DataFrame(other_outcomes).assign(group=other_groups),
        trial.mark,
    )
    return result, class_images, covers


def _assign_partners(count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return another image for each of `count` images; a single image is its own partner."""
    order = rng.permutation(count)
    partners = np.empty(count, np.intp)
    partners[order] = np.roll(order, 1)
    return partners
