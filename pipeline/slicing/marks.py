"""The mark of a class: what most of its training photos share outside the middle, and which photos bear it.

A mark is read by pixels alone, as `shortcuts` proposes it; which photos bear it is then a frozen function of the photo,
by which a slice may be defined: the photos of a class without the mark that the model leans on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.slicing.propose import Evidence, Proposal, proposal
from pipeline.slicing.rules import MARK, Condition, Rule
from pipeline.slicing.shortcuts import GROUPS, MODELS, OTHER, Scene, core_of, one_a_group

Pixels = NDArray[np.uint8]
MOST = 0.5  # share of a mark's pixels that must be as they are in it
CHUNK = 4096  # photos looked at together


@dataclass(frozen=True)
class Mark:
    """Where it is, bool [S, S], and what is there, uint8 [S, S, 3]."""

    where: NDArray[np.bool_]
    values: Pixels

    def borne(self, photos: Pixels) -> NDArray[np.bool_]:
        """bool [n]: whether photos [n, S, S, 3] show more than `MOST` of it, up to `OTHER` grey levels."""
        away = np.abs(photos[:, self.where].astype(np.int16) - self.values[self.where].astype(np.int16))
        return np.asarray((away <= OTHER).all(axis=-1).mean(axis=-1) > MOST)


def mark_from(scene: Scene, label: int, seed: int) -> Mark | None:
    """What photos of class index `label` share and those of other classes do not; None where nothing is, or where
    either side has fewer than `GROUPS` groups. scene: training photos."""
    rng, of = np.random.default_rng([seed, label]), scene.truth == label
    own, other = (one_a_group(scene, np.flatnonzero(side), MODELS, rng) for side in (of, ~of))
    if min(len(own), len(other)) < GROUPS:
        return None
    photos = scene.photos(own)
    where = core_of(photos, scene.photos(other))
    return Mark(where, np.median(photos, axis=0).astype(np.uint8)) if where.any() else None


def marks_of(
    scene: Scene, names: list[str], labels: Iterable[str], image_ids: pd.Series[str], seed: int
) -> pd.DataFrame:
    """The artifact `marks`: image_id, and for each of `labels` that has a mark the bool column `mark of <label>`.

    scene: training photos, whose `pixels` are those of all images; names: class names by index.
    """
    found = {name: mark_from(scene, names.index(name), seed) for name in labels}
    known = {MARK + name: mark for name, mark in found.items() if mark is not None}
    borne = {column: np.zeros(len(image_ids), bool) for column in known}
    for start in range(0, len(image_ids) if known else 0, CHUNK):
        photos = np.asarray(scene.pixels[start : start + CHUNK])
        for column, mark in known.items():
            borne[column][start : start + CHUNK] = mark.borne(photos)
    return pd.DataFrame({"image_id": image_ids.to_numpy(), **borne})


def unmarked(evidence: Evidence) -> list[Proposal]:
    """Of each class whose mark the photos of `evidence` tell, the rule that admits its photos without it: given, not
    searched for, so however few they are."""
    frame = evidence.frame
    labels = [column.removeprefix(MARK) for column in frame.columns if column.startswith(MARK)]
    rules = [Rule((Condition(MARK + label, "is", "False"),), label, "mark") for label in labels]
    return [proposal(evidence, rule, rule.mask(frame)) for rule in rules]
