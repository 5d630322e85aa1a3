"""Shortcuts: marks that are the same on most images of one class, on which a model leans more than on the object.

A caption, a logo or a border is proposed on all folds of val but one, by pixels alone: outside the middle of the
image, the same value on most images of the class, and another one elsewhere. It is tested on the fold left out, by
two interventions on whole groups. Covering it must change the answer for images of the class more often than covering
the object: the quarter of the image, in patches that the mark does not touch, whose covering changes most answers on
the other folds (the middle, where the mark touches every patch). And pasting it into images of other classes must
make the answer that class more often than pasting the same place of another such image. Both must hold (intersection-
union test, Berger 1982). Covered is: replaced by that place of a image of another class. A plain patch pulls answers
towards a class of its own: with it a model that never saw a border was said to lean on one. Marks that differ from
image to image, or lie over the middle, are not proposed; nor can pixels tell a mark from an object that looks the
same, at the same place beside the middle, on most images of its class.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import permutation_test

from pipeline.statistics.group_intervals import sum_by_group
from pipeline.statistics.multiple_testing import adjust_benjamini_hochberg

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
PredictFunction = Callable[[Pixels], NDArray[np.integer[Any]]]

MIN_GROUPS = 10  # fewest groups on either side, to propose and to test
MAX_MARK_IMAGES = 40  # most images, of as many groups, that a mark is read from
SAME_GRAY_TOLERANCE, OTHER_GRAY_DISTANCE = (
    8,
    25,
)  # gray levels: within most images of the class, and apart from the other classes
MIN_MARK_SHARE = 0.002  # smallest mark, as a share of the image
FILLED_BOX_SHARE = 0.5  # share of its box that a part of a mark takes, from which it is filled
MIN_SHARE_EFFECT, FDR_LEVEL, PERMUTATION_DRAWS = 0.05, 0.05, 1999
SHORTCUT_COLUMNS = {
    "label": "str",
    "status": "str",  # confirmed | not confirmed | not testable
    "n": "int64",  # images of the class that were covered
    "groups": "int64",
    "others": "int64",  # images of other classes that were pasted into
    "area": "float64",  # share of the image
    "covered": "float64",  # share of the class's images that are answered as another class with the mark covered
    "object": "float64",  # the same with the object covered
    "pasted": "float64",  # share of the others that are answered as the class with the mark pasted in
    "placebo": "float64",  # the same with that place of another such image pasted in
    "p_value": "float64",
    "q_value": "float64",
    "grid": "str",  # JSON: shares answered as another class with that cell covered, by row
    "mark": "str",  # JSON: share of each cell that the mark takes, by row
}


@dataclass(frozen=True)
class ShortcutImages:
    """Images by row: `rows` in `pixels`, class index `truth`, `group`, `fold`; all [N]."""

    pixels: Pixels
    rows: NDArray[np.intp]
    labels: NDArray[np.intp]
    groups: NDArray[np.str_]
    folds: NDArray[np.intp]

    def get_images(self, positions: NDArray[np.intp]) -> Pixels:
        """uint8 [n, S, S, 3] of positions in the scene."""
        return np.asarray(self.pixels[self.rows[positions]])


def build_center_mask(image_side: int) -> Mask:
    """The middle quarter of a image, bool [S, S]: where no mark is proposed."""
    inside = (np.arange(image_side) >= image_side // 4) & (
        np.arange(image_side) < image_side - image_side // 4
    )
    return np.asarray(inside[:, None] & inside[None, :])


def assign_cells(image_side: int, grid_size: int) -> NDArray[np.intp]:
    """The cell of each pixel, int [S, S], of a grid of patches counted by row."""
    place = np.arange(image_side) * grid_size // image_side
    return np.asarray(place[:, None] * grid_size + place[None, :], dtype=np.intp)


def find_shared_pixels(class_images: Pixels, other_images: Pixels) -> Mask:
    """What most images of one class share, and most others do not, outside the middle: bool [S, S]; nothing, where
    that is less than `LEAST` of the image."""
    own = np.median(class_images, axis=0)
    steady = (np.median(np.abs(class_images - own), axis=0) <= SAME_GRAY_TOLERANCE).all(axis=-1)
    apart = (np.abs(own - np.median(other_images, axis=0)) >= OTHER_GRAY_DISTANCE).any(axis=-1)
    found = steady & apart & ~build_center_mask(class_images.shape[1])
    return np.asarray(found if found.mean() >= MIN_MARK_SHARE else np.zeros_like(found), dtype=bool)


def find_mark_mask(class_images: Pixels, other_images: Pixels) -> Mask:
    """The same with a rim, bool [S, S], each part of it filled to its box, but for parts that are mostly gaps there (a
    border): what is cut out in the shape of letters still reads as letters."""
    rimmed = ndimage.binary_dilation(find_shared_pixels(class_images, other_images), iterations=2)
    names, _ = ndimage.label(rimmed)
    for number, box in enumerate(ndimage.find_objects(names), 1):
        if (names[box] == number).mean() >= FILLED_BOX_SHARE:
            rimmed[box] = True
    return np.asarray(rimmed & ~build_center_mask(class_images.shape[1]), dtype=bool)


def paste_pixels(images: Pixels, donors: Pixels, mask: Mask) -> Pixels:
    """Copies with the pixels of `mask` as they are in the donors, [n, S, S, 3] both."""
    out = images.copy()
    out[:, mask] = donors[:, mask]
    return out


def sample_distinct_groups(
    images: ShortcutImages, positions: NDArray[np.intp], max_images: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """At most `most` of the positions, at random, no two of one group."""
    mixed = rng.permutation(positions)
    return np.asarray(
        mixed[np.sort(np.unique(images.groups[mixed], return_index=True)[1])][:max_images],
        dtype=np.intp,
    )


def _sample_evenly(
    images: ShortcutImages, positions: NDArray[np.intp], max_images: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """At most `most` of the positions, at random, one of each group before the second of any."""
    mixed = pd.Series(rng.permutation(positions))
    turn = mixed.groupby(images.groups[mixed.to_numpy()]).cumcount()
    return mixed.iloc[np.argsort(turn.to_numpy(), kind="stable")[:max_images]].to_numpy(np.intp)


def _compute_sign_flip_p(
    effects: NDArray[np.float64], groups: NDArray[np.str_], seed: int
) -> float:
    """One-sided p of a mean above 0, by sign flips of whole groups."""
    sums = sum_by_group(effects, groups)
    found = permutation_test(
        (sums,),
        np.mean,
        permutation_type="samples",
        n_resamples=PERMUTATION_DRAWS,
        alternative="greater",
        rng=seed,
    )
    return float(found.pvalue)


@dataclass(frozen=True)
class _MarkTrial:
    """A mark read from the other folds, and the positions of this one's images to try it on: of the class (`own`), and
    of others that are pasted into (`other`); by turns of their groups."""

    class_index: int
    fold: int
    mark: Mask
    class_positions: NDArray[np.intp]
    other_positions: NDArray[np.intp]

    def count_predictions(self, grid_size: int) -> int:
        """How many altered images the model is asked about."""
        return (
            len(self.class_positions) * (grid_size * grid_size + 2) + len(self.other_positions) * 2
        )

    def take_first(self, max_images: int) -> _MarkTrial:
        """On so many images of either side."""
        return replace(
            self,
            class_positions=self.class_positions[:max_images],
            other_positions=self.other_positions[:max_images],
        )


@dataclass(frozen=True)
class _FoldResult:
    """One fold's answers: bool columns by image of the class (`own`) and by other image (`other`), with `group`."""

    own: pd.DataFrame
    other: pd.DataFrame
    mark: Mask


def _propose_trial(
    images: ShortcutImages, class_index: int, fold: int, max_images: int, rng: np.random.Generator
) -> _MarkTrial | None:
    """Propose on the other folds; None where nothing is proposed, or this fold has nobody to try it on."""
    of, here = images.labels == class_index, images.folds == fold
    read = [
        sample_distinct_groups(images, np.flatnonzero(part & ~here), MAX_MARK_IMAGES, rng)
        for part in (of, ~of)
    ]
    own, other = (
        _sample_evenly(images, np.flatnonzero(part & here), max_images, rng) for part in (of, ~of)
    )
    if min(len(part) for part in read) < MIN_GROUPS or not len(own) or not len(other):
        return None
    mark = find_mark_mask(images.get_images(read[0]), images.get_images(read[1]))
    return _MarkTrial(class_index, fold, mark, own, other) if mark.any() else None


def _run_trial(
    images: ShortcutImages,
    trial: _MarkTrial,
    predict_labels: PredictFunction,
    grid_size: int,
    seed: int,
) -> tuple[_FoldResult, Pixels, Pixels]:
    """Cover and paste, on the fold of the trial; with its photos of the class, and what they are covered with."""
    rng = np.random.default_rng([seed, trial.class_index, trial.fold])
    photos, others = (
        images.get_images(trial.class_positions),
        images.get_images(trial.other_positions),
    )
    place = assign_cells(trial.mark.shape[0], grid_size)
    cover = others[rng.integers(0, len(others), len(photos))]
    masks = {"covered": trial.mark} | {
        f"cell_{k}": place == k for k in range(grid_size * grid_size)
    }
    donors = {
        "pasted": images.get_images(rng.choice(trial.class_positions, len(trial.other_positions))),
        "placebo": others[_assign_partners(len(others), rng)],
    }
    away = {
        name: predict_labels(paste_pixels(photos, cover, mask)) != trial.class_index
        for name, mask in masks.items()
    }
    towards = {
        name: predict_labels(paste_pixels(others, given, trial.mark)) == trial.class_index
        for name, given in donors.items()
    }
    own = pd.DataFrame(away).assign(group=images.groups[trial.class_positions])
    return (
        _FoldResult(
            own,
            pd.DataFrame(towards).assign(group=images.groups[trial.other_positions]),
            trial.mark,
        ),
        photos,
        cover,
    )


def find_object_mask(changed_shares: NDArray[np.float64], mark: Mask, grid_size: int) -> Mask:
    """bool [S, S]: the quarter of the image, in cells that the mark does not touch, whose covering changes most.

    hurts: share of answers that each cell changes, float [grid * grid]. Where the mark touches all: the middle."""
    place = assign_cells(len(mark), grid_size)
    free = np.setdiff1d(np.arange(grid_size * grid_size), place[mark])
    if not len(free):
        return build_center_mask(len(mark)) & ~mark
    chosen = free[np.argsort(-changed_shares[free], kind="stable")][
        : max(1, grid_size * grid_size // 4)
    ]
    return np.asarray(np.isin(place, chosen))


def _run_class_trials(
    images: ShortcutImages,
    trials: list[_MarkTrial],
    predict_labels: PredictFunction,
    grid_size: int,
    seed: int,
) -> list[_FoldResult]:
    """Every fold of a class tried; the object of each is the one that the other folds' answers show."""
    asked = [_run_trial(images, trial, predict_labels, grid_size, seed) for trial in trials]
    hurts = np.array(
        [part.own.filter(like="cell_").mean().to_numpy() for part, _, _ in asked], dtype=np.float64
    )
    tested = []
    for k, (part, photos, cover) in enumerate(asked):
        elsewhere = np.delete(hurts, k, axis=0)
        seen = elsewhere.mean(0) if len(elsewhere) else np.zeros(grid_size * grid_size)
        there = (
            find_object_mask(seen, part.mark, grid_size)
            if len(elsewhere)
            else build_center_mask(len(part.mark)) & ~part.mark
        )
        own = part.own.assign(
            object=predict_labels(paste_pixels(photos, cover, there)) != trials[k].class_index
        )
        tested.append(replace(part, own=own))
    return tested


def _assign_partners(count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """For each of n images another one of them (itself only where it is alone)."""
    order = rng.permutation(count)
    partner = np.empty(count, np.intp)
    partner[order] = np.roll(order, 1)
    return partner


def _summarize_class(
    label: str, fold_results: list[_FoldResult], grid_size: int, seed: int
) -> dict[str, Any]:
    own, other = (
        pd.concat([getattr(part, side) for part in fold_results]) for side in ("own", "other")
    )
    groups = min(own["group"].nunique(), other["group"].nunique())
    lean = own["covered"].to_numpy(float) - own["object"].to_numpy(float)
    draw = other["pasted"].to_numpy(float) - other["placebo"].to_numpy(float)
    pairs = ((lean, own["group"]), (draw, other["group"]))
    p = (
        max(_compute_sign_flip_p(d, g.to_numpy(str), seed) for d, g in pairs)
        if groups >= MIN_GROUPS
        else np.nan
    )
    marks = np.mean([part.mark for part in fold_results], axis=0)
    place = assign_cells(len(marks), grid_size).ravel()
    share = np.bincount(place, marks.ravel()) / np.bincount(place)
    means = own.drop(columns="group").mean() if len(own) else own
    return {
        "label": label,
        "n": len(own),
        "groups": int(own["group"].nunique()),
        "others": len(other),
        "area": float(marks.mean()),
        "covered": float(means["covered"]),
        "object": float(means["object"]),
        "pasted": float(other["pasted"].mean()),
        "placebo": float(other["placebo"].mean()),
        "p_value": p,
        "grid": json.dumps(
            [round(float(means[f"cell_{k}"]), 4) for k in range(grid_size * grid_size)]
        ),
        "mark": json.dumps([round(float(value), 4) for value in share]),
    }


def list_untestable_classes(images: ShortcutImages, class_names: list[str]) -> list[str]:
    """Classes of which no fold leaves `GROUPS` groups to read a mark from: nothing is proposed for them."""
    groups = pd.DataFrame(
        {"truth": images.labels, "fold": images.folds, "group": images.groups}
    ).drop_duplicates()
    counts = groups.groupby(["truth", "fold"]).size().unstack(fill_value=0)
    left = counts.sum(axis=1) - counts.min(axis=1)
    return [class_names[k] for k in left.index[left < MIN_GROUPS]]


def _limit_trials(
    trials: list[_MarkTrial], grid_size: int, max_predictions: int
) -> list[_MarkTrial]:
    """The trials, each on the most images with which all together come to `asks` altered images; on one at least."""
    most = max(
        (len(part) for trial in trials for part in (trial.class_positions, trial.other_positions)),
        default=1,
    )
    fits = (
        m
        for m in range(most, 1, -1)
        if sum(trial.take_first(m).count_predictions(grid_size) for trial in trials)
        <= max_predictions
    )
    return [trial.take_first(next(fits, 1)) for trial in trials]


def detect_shortcuts(
    images: ShortcutImages,
    class_names: list[str],
    predict_labels: PredictFunction,
    *,
    grid_size: int,
    max_images: int,
    max_predictions: int,
    seed: int,
) -> pd.DataFrame:
    """One row for each class for which a mark is proposed; `COLUMNS` says what they hold.

    answer: class index [n] for uint8 [n, S, S, 3]. most: images of a class, and as many others, that are tried in a
    fold, fewer where all would come to more than `asks` altered images; the model is asked nothing where no mark is
    proposed. q_value: Benjamini-Hochberg over the rows.
    """
    every = (
        _propose_trial(
            images, label, int(fold), max_images, np.random.default_rng([seed, label, int(fold)])
        )
        for label in range(len(class_names))
        for fold in np.unique(images.folds)
    )
    trials = _limit_trials(
        [trial for trial in every if trial is not None], grid_size, max_predictions
    )
    rows = []
    for label, name in enumerate(class_names):
        if mine := [trial for trial in trials if trial.class_index == label]:
            rows.append(
                _summarize_class(
                    name,
                    _run_class_trials(images, mine, predict_labels, grid_size, seed),
                    grid_size,
                    seed,
                )
            )
    table = pd.DataFrame(rows, columns=list(SHORTCUT_COLUMNS))
    table["q_value"] = adjust_benjamini_hochberg(table["p_value"].to_numpy(float))
    shown = (table["q_value"] <= FDR_LEVEL) & (
        table["covered"] - table["object"] >= MIN_SHARE_EFFECT
    )
    shown &= table["pasted"] - table["placebo"] >= MIN_SHARE_EFFECT
    table["status"] = np.where(
        table["p_value"].isna(), "not testable", np.where(shown, "confirmed", "not confirmed")
    )
    return table.astype(SHORTCUT_COLUMNS)
