"""Shortcuts: marks that are the same on most photos of one class, on which a model leans more than on the object.

A caption, a logo or a border is proposed on all folds of val but one, by pixels alone: outside the middle of the
photo, the same value on most photos of the class, and another one elsewhere. It is tested on the fold left out, by
two interventions on whole groups. Covering it must change the answer for photos of the class more often than covering
the object: the quarter of the photo, in patches that the mark does not touch, whose covering changes most answers on
the other folds (the middle, where the mark touches every patch). And pasting it into photos of other classes must
make the answer that class more often than pasting the same place of another such photo. Both must hold (intersection-
union test, Berger 1982). Covered is: replaced by that place of a photo of another class. A plain patch pulls answers
towards a class of its own: with it a model that never saw a border was said to lean on one. Marks that differ from
photo to photo, or lie over the middle, are not proposed; nor can pixels tell a mark from an object that looks the
same, at the same place beside the middle, on most photos of its class.
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

from pipeline.evidence.intervals import group_sums
from pipeline.evidence.multiple import benjamini_hochberg

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Answer = Callable[[Pixels], NDArray[np.integer[Any]]]

GROUPS = 10  # fewest groups on either side, to propose and to test
MODELS = 40  # most photos, of as many groups, that a mark is read from
SAME, OTHER = 8, 25  # grey levels: within most photos of the class, and apart from the other classes
LEAST = 0.002  # smallest mark, as a share of the photo
DENSE = 0.5  # share of its box that a part of a mark takes, from which it is filled
POINTS, LEVEL, DRAWS = 0.05, 0.05, 1999
COLUMNS = {
    "label": "str",
    "status": "str",  # confirmed | not confirmed | not testable
    "n": "int64",  # photos of the class that were covered
    "groups": "int64",
    "others": "int64",  # photos of other classes that were pasted into
    "area": "float64",  # share of the photo
    "covered": "float64",  # share of the class's photos that are answered as another class with the mark covered
    "object": "float64",  # the same with the object covered
    "pasted": "float64",  # share of the others that are answered as the class with the mark pasted in
    "placebo": "float64",  # the same with that place of another such photo pasted in
    "p_value": "float64",
    "q_value": "float64",
    "grid": "str",  # JSON: shares answered as another class with that cell covered, by row
    "mark": "str",  # JSON: share of each cell that the mark takes, by row
}


@dataclass(frozen=True)
class Scene:
    """Photos by row: `rows` in `pixels`, class index `truth`, `group`, `fold`; all [N]."""

    pixels: Pixels
    rows: NDArray[np.intp]
    truth: NDArray[np.intp]
    group: NDArray[np.str_]
    fold: NDArray[np.intp]

    def photos(self, chosen: NDArray[np.intp]) -> Pixels:
        """uint8 [n, S, S, 3] of positions in the scene."""
        return np.asarray(self.pixels[self.rows[chosen]])


def middle(side: int) -> Mask:
    """The middle quarter of a photo, bool [S, S]: where no mark is proposed."""
    inside = (np.arange(side) >= side // 4) & (np.arange(side) < side - side // 4)
    return np.asarray(inside[:, None] & inside[None, :])


def cells(side: int, grid: int) -> NDArray[np.intp]:
    """The cell of each pixel, int [S, S], of a grid of patches counted by row."""
    place = np.arange(side) * grid // side
    return np.asarray(place[:, None] * grid + place[None, :], dtype=np.intp)


def core_of(inside: Pixels, outside: Pixels) -> Mask:
    """What most photos of one class share, and most others do not, outside the middle: bool [S, S]; nothing, where
    that is less than `LEAST` of the photo."""
    own = np.median(inside, axis=0)
    steady = (np.median(np.abs(inside - own), axis=0) <= SAME).all(axis=-1)
    apart = (np.abs(own - np.median(outside, axis=0)) >= OTHER).any(axis=-1)
    found = steady & apart & ~middle(inside.shape[1])
    return np.asarray(found if found.mean() >= LEAST else np.zeros_like(found), dtype=bool)


def mark_of(inside: Pixels, outside: Pixels) -> Mask:
    """The same with a rim, bool [S, S], each part of it filled to its box, but for parts that are mostly gaps there (a
    border): what is cut out in the shape of letters still reads as letters."""
    rimmed = ndimage.binary_dilation(core_of(inside, outside), iterations=2)
    names, _ = ndimage.label(rimmed)
    for number, box in enumerate(ndimage.find_objects(names), 1):
        if (names[box] == number).mean() >= DENSE:
            rimmed[box] = True
    return np.asarray(rimmed & ~middle(inside.shape[1]), dtype=bool)


def pasted(photos: Pixels, donors: Pixels, mask: Mask) -> Pixels:
    """Copies with the pixels of `mask` as they are in the donors, [n, S, S, 3] both."""
    out = photos.copy()
    out[:, mask] = donors[:, mask]
    return out


def one_a_group(scene: Scene, chosen: NDArray[np.intp], most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """At most `most` of the positions, at random, no two of one group."""
    mixed = rng.permutation(chosen)
    return np.asarray(mixed[np.sort(np.unique(scene.group[mixed], return_index=True)[1])][:most], dtype=np.intp)


def _evenly(scene: Scene, chosen: NDArray[np.intp], most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """At most `most` of the positions, at random, one of each group before the second of any."""
    mixed = pd.Series(rng.permutation(chosen))
    turn = mixed.groupby(scene.group[mixed.to_numpy()]).cumcount()
    return mixed.iloc[np.argsort(turn.to_numpy(), kind="stable")[:most]].to_numpy(np.intp)


def _flips(effect: NDArray[np.float64], groups: NDArray[np.str_], seed: int) -> float:
    """One-sided p of a mean above 0, by sign flips of whole groups."""
    sums = group_sums(effect, groups)
    found = permutation_test(
        (sums,), np.mean, permutation_type="samples", n_resamples=DRAWS, alternative="greater", rng=seed
    )
    return float(found.pvalue)


@dataclass(frozen=True)
class _Trial:
    """A mark read from the other folds, and the positions of this one's photos to try it on: of the class (`own`), and
    of others that are pasted into (`other`); by turns of their groups."""

    label: int
    fold: int
    mark: Mask
    own: NDArray[np.intp]
    other: NDArray[np.intp]

    def asks(self, grid: int) -> int:
        """How many altered photos the model is asked about."""
        return len(self.own) * (grid * grid + 2) + len(self.other) * 2

    def first(self, most: int) -> _Trial:
        """On so many photos of either side."""
        return replace(self, own=self.own[:most], other=self.other[:most])


@dataclass(frozen=True)
class _Tested:
    """One fold's answers: bool columns by photo of the class (`own`) and by other photo (`other`), with `group`."""

    own: pd.DataFrame
    other: pd.DataFrame
    mark: Mask


def _trial(scene: Scene, label: int, fold: int, most: int, rng: np.random.Generator) -> _Trial | None:
    """Propose on the other folds; None where nothing is proposed, or this fold has nobody to try it on."""
    of, here = scene.truth == label, scene.fold == fold
    read = [one_a_group(scene, np.flatnonzero(part & ~here), MODELS, rng) for part in (of, ~of)]
    own, other = (_evenly(scene, np.flatnonzero(part & here), most, rng) for part in (of, ~of))
    if min(len(part) for part in read) < GROUPS or not len(own) or not len(other):
        return None
    mark = mark_of(scene.photos(read[0]), scene.photos(read[1]))
    return _Trial(label, fold, mark, own, other) if mark.any() else None


def _asked(scene: Scene, trial: _Trial, answer: Answer, grid: int, seed: int) -> tuple[_Tested, Pixels, Pixels]:
    """Cover and paste, on the fold of the trial; with its photos of the class, and what they are covered with."""
    rng = np.random.default_rng([seed, trial.label, trial.fold])
    photos, others = scene.photos(trial.own), scene.photos(trial.other)
    place = cells(trial.mark.shape[0], grid)
    cover = others[rng.integers(0, len(others), len(photos))]
    masks = {"covered": trial.mark} | {f"cell_{k}": place == k for k in range(grid * grid)}
    donors = {
        "pasted": scene.photos(rng.choice(trial.own, len(trial.other))),
        "placebo": others[_another(len(others), rng)],
    }
    away = {name: answer(pasted(photos, cover, mask)) != trial.label for name, mask in masks.items()}
    towards = {name: answer(pasted(others, given, trial.mark)) == trial.label for name, given in donors.items()}
    own = pd.DataFrame(away).assign(group=scene.group[trial.own])
    return _Tested(own, pd.DataFrame(towards).assign(group=scene.group[trial.other]), trial.mark), photos, cover


def object_of(hurts: NDArray[np.float64], mark: Mask, grid: int) -> Mask:
    """bool [S, S]: the quarter of the photo, in cells that the mark does not touch, whose covering changes most.

    hurts: share of answers that each cell changes, float [grid * grid]. Where the mark touches all: the middle."""
    place = cells(len(mark), grid)
    free = np.setdiff1d(np.arange(grid * grid), place[mark])
    if not len(free):
        return middle(len(mark)) & ~mark
    chosen = free[np.argsort(-hurts[free], kind="stable")][: max(1, grid * grid // 4)]
    return np.asarray(np.isin(place, chosen))


def _folds(scene: Scene, trials: list[_Trial], answer: Answer, grid: int, seed: int) -> list[_Tested]:
    """Every fold of a class tried; the object of each is the one that the other folds' answers show."""
    asked = [_asked(scene, trial, answer, grid, seed) for trial in trials]
    hurts = np.array([part.own.filter(like="cell_").mean().to_numpy() for part, _, _ in asked], dtype=np.float64)
    tested = []
    for k, (part, photos, cover) in enumerate(asked):
        elsewhere = np.delete(hurts, k, axis=0)
        seen = elsewhere.mean(0) if len(elsewhere) else np.zeros(grid * grid)
        there = object_of(seen, part.mark, grid) if len(elsewhere) else middle(len(part.mark)) & ~part.mark
        own = part.own.assign(object=answer(pasted(photos, cover, there)) != trials[k].label)
        tested.append(replace(part, own=own))
    return tested


def _another(n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """For each of n photos another one of them (itself only where it is alone)."""
    order = rng.permutation(n)
    partner = np.empty(n, np.intp)
    partner[order] = np.roll(order, 1)
    return partner


def _judged(label: str, parts: list[_Tested], grid: int, seed: int) -> dict[str, Any]:
    own, other = (pd.concat([getattr(part, side) for part in parts]) for side in ("own", "other"))
    groups = min(own["group"].nunique(), other["group"].nunique())
    lean = own["covered"].to_numpy(float) - own["object"].to_numpy(float)
    draw = other["pasted"].to_numpy(float) - other["placebo"].to_numpy(float)
    pairs = ((lean, own["group"]), (draw, other["group"]))
    p = max(_flips(d, g.to_numpy(str), seed) for d, g in pairs) if groups >= GROUPS else np.nan
    marks = np.mean([part.mark for part in parts], axis=0)
    place = cells(len(marks), grid).ravel()
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
        "grid": json.dumps([round(float(means[f"cell_{k}"]), 4) for k in range(grid * grid)]),
        "mark": json.dumps([round(float(value), 4) for value in share]),
    }


def too_few(scene: Scene, names: list[str]) -> list[str]:
    """Classes of which no fold leaves `GROUPS` groups to read a mark from: nothing is proposed for them."""
    groups = pd.DataFrame({"truth": scene.truth, "fold": scene.fold, "group": scene.group}).drop_duplicates()
    counts = groups.groupby(["truth", "fold"]).size().unstack(fill_value=0)
    left = counts.sum(axis=1) - counts.min(axis=1)
    return [names[k] for k in left.index[left < GROUPS]]


def _within(trials: list[_Trial], grid: int, asks: int) -> list[_Trial]:
    """The trials, each on the most photos with which all together come to `asks` altered photos; on one at least."""
    most = max((len(part) for trial in trials for part in (trial.own, trial.other)), default=1)
    fits = (m for m in range(most, 1, -1) if sum(trial.first(m).asks(grid) for trial in trials) <= asks)
    return [trial.first(next(fits, 1)) for trial in trials]


def shortcuts(
    scene: Scene, names: list[str], answer: Answer, *, grid: int, most: int, asks: int, seed: int
) -> pd.DataFrame:
    """One row for each class for which a mark is proposed; `COLUMNS` says what they hold.

    answer: class index [n] for uint8 [n, S, S, 3]. most: photos of a class, and as many others, that are tried in a
    fold, fewer where all would come to more than `asks` altered photos; the model is asked nothing where no mark is
    proposed. q_value: Benjamini-Hochberg over the rows.
    """
    every = (
        _trial(scene, label, int(fold), most, np.random.default_rng([seed, label, int(fold)]))
        for label in range(len(names))
        for fold in np.unique(scene.fold)
    )
    trials = _within([trial for trial in every if trial is not None], grid, asks)
    rows = []
    for label, name in enumerate(names):
        if mine := [trial for trial in trials if trial.label == label]:
            rows.append(_judged(name, _folds(scene, mine, answer, grid, seed), grid, seed))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["q_value"] = benjamini_hochberg(table["p_value"].to_numpy(float))
    shown = (table["q_value"] <= LEVEL) & (table["covered"] - table["object"] >= POINTS)
    shown &= table["pasted"] - table["placebo"] >= POINTS
    table["status"] = np.where(table["p_value"].isna(), "not testable", np.where(shown, "confirmed", "not confirmed"))
    return table.astype(COLUMNS)
