"""The mark of a class: what most of its training images share outside the middle, and which images bear it.

A mark is read by pixels alone, as `shortcuts` proposes it; which images bear it is then a frozen function of the image,
by which a slice may be defined: the images of a class without the mark that the model leans on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import MARK_PREFIX, Condition, Rule
from pipeline.slices.candidates.rule_proposal import ProposalEvidence, ProposedRule, score_rule
from pipeline.slices.shortcuts.shortcut_detection import (
    MAX_MARK_IMAGES,
    MIN_GROUPS,
    OTHER_GRAY_DISTANCE,
    ShortcutImages,
    find_shared_pixels,
    sample_distinct_groups,
)

Pixels = NDArray[np.uint8]
MIN_MATCHING_SHARE = 0.5  # share of a mark's pixels that must be as they are in it
CHUNK_IMAGES = 4096  # images looked at together


@dataclass(frozen=True)
class ClassMark:
    """Where it is, bool [S, S], and what is there, uint8 [S, S, 3]."""

    mask: NDArray[np.bool_]
    pixels: Pixels

    def is_borne_by(self, images: Pixels) -> NDArray[np.bool_]:
        """bool [n]: whether images [n, S, S, 3] show more than `MOST` of it, up to `OTHER` gray levels."""
        away = np.abs(
            images[:, self.mask].astype(np.int16) - self.pixels[self.mask].astype(np.int16)
        )
        return np.asarray(
            (away <= OTHER_GRAY_DISTANCE).all(axis=-1).mean(axis=-1) > MIN_MATCHING_SHARE
        )


def find_class_mark(images: ShortcutImages, class_index: int, seed: int) -> ClassMark | None:
    """What photos of class index `label` share and those of other classes do not; None where nothing is, or where
    either side has fewer than `GROUPS` groups. scene: training photos."""
    rng, of = np.random.default_rng([seed, class_index]), images.labels == class_index
    own, other = (
        sample_distinct_groups(images, np.flatnonzero(side), MAX_MARK_IMAGES, rng)
        for side in (of, ~of)
    )
    if min(len(own), len(other)) < MIN_GROUPS:
        return None
    photos = images.get_images(own)
    where = find_shared_pixels(photos, images.get_images(other))
    return ClassMark(where, np.median(photos, axis=0).astype(np.uint8)) if where.any() else None


def build_mark_table(
    images: ShortcutImages,
    class_names: list[str],
    labels: Iterable[str],
    image_ids: pd.Series[str],
    seed: int,
) -> pd.DataFrame:
    """The artifact `marks`: image_id, and for each of `labels` that has a mark the bool column `mark of <label>`.

    scene: training photos, whose `pixels` are those of all images; names: class names by index.
    """
    found = {name: find_class_mark(images, class_names.index(name), seed) for name in labels}
    known = {MARK_PREFIX + name: mark for name, mark in found.items() if mark is not None}
    borne = {column: np.zeros(len(image_ids), bool) for column in known}
    for start in range(0, len(image_ids) if known else 0, CHUNK_IMAGES):
        photos = np.asarray(images.pixels[start : start + CHUNK_IMAGES])
        for column, mark in known.items():
            borne[column][start : start + CHUNK_IMAGES] = mark.is_borne_by(photos)
    return pd.DataFrame({"image_id": image_ids.to_numpy(), **borne})


def propose_unmarked_rules(evidence: ProposalEvidence) -> list[ProposedRule]:
    """Of each class whose mark the images of `evidence` tell, the rule that admits its images without it: given, not
    searched for, so however few they are."""
    frame = evidence.frame
    labels = [
        column.removeprefix(MARK_PREFIX)
        for column in frame.columns
        if column.startswith(MARK_PREFIX)
    ]
    rules = [
        Rule((Condition(MARK_PREFIX + label, "is", "False"),), label, "mark") for label in labels
    ]
    return [score_rule(evidence, rule, rule.compute_mask(frame)) for rule in rules]
