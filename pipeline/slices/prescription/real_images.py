"""Validation images that arms are trained on: those of planned slices, one half of the set each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import Mask
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.cross_fitting import assign_halves
from pipeline.slices.candidates.rule_admission import (
    compute_slice_masks,
    measure_reference_distances,
    parse_frozen_rules,
)

REAL_IMAGES_FILE = "real_images.json"
"""The record, beside the candidates, of the validation images that they were trained on."""


@dataclass(frozen=True)
class RepeatedImages:
    """Validation images that one training sees.

    Attributes:
        positions: positions in the validation set, [n].
        repeats: how often each of them occurs in the training set, [n].
    """

    positions: NDArray[np.intp]
    repeats: NDArray[np.intp]


@dataclass(frozen=True)
class RealImages:
    """The validation images that two trainings of each arm see, one of each half.

    Attributes:
        targeted: by half, images of planned slices.
        random: by half, as many random ones, for the arms without the remedy.
    """

    targeted: tuple[RepeatedImages, RepeatedImages]
    random: tuple[RepeatedImages, RepeatedImages]


def select_real_images(
    val: ValidationSet,
    explanations: pd.DataFrame,
    slice_names: Collection[str],
    training_labels: NDArray[np.int64],
    max_repeats: int,
    seed: int,
) -> RealImages | None:
    """Return the validation images to train on, or None if a half has none of a planned slice.

    Images of every class are taken, whatever the label of a slice's rule: of one class only they
    would teach that dark images are of this class. They are repeated until the slices are as
    frequent as in the validation set and each class as frequent as in training. Random images occur
    once: repetition is a part of the remedy. Images whose label is in doubt are left out.

    Args:
        val: the validation set.
        explanations: the artifact of that name, with the rules.
        slice_names: the planned slices.
        training_labels: class index of each training image.
        max_repeats: largest number of repetitions; 0 to train on no validation image.
        seed: seed of the random images.
    """
    if not max_repeats:
        return None
    is_real = _admit_images(val, explanations, slice_names) & ~np.asarray(val.has_label_issue)
    halves = assign_halves(val.folds)
    counts = np.bincount(training_labels, minlength=len(val.class_names))
    wanted = is_real.mean() * counts
    targeted, random = [], []
    for half in (0, 1):
        in_half = (halves == half) & ~np.asarray(val.has_label_issue)
        members = np.flatnonzero(in_half & is_real)
        if not len(members):
            return None
        rng = np.random.default_rng([seed, half])
        drawn = draw_whole_groups(val.groups, in_half, len(members), rng)
        targeted.append(_repeat_images(val, members, wanted, max_repeats))
        random.append(RepeatedImages(drawn, np.ones(len(drawn), dtype=np.intp)))
    return RealImages((targeted[0], targeted[1]), (random[0], random[1]))


def _admit_images(
    val: ValidationSet, explanations: pd.DataFrame, slice_names: Collection[str]
) -> Mask:
    """Return bool [rows]: whether the image part of a planned slice's rule admits an image."""
    rules = parse_frozen_rules(explanations)
    planned = {name: rule for name, rule in rules.items() if name in slice_names}
    distances = measure_reference_distances(val.frame, planned.values(), val.embeddings)
    return join_masks(compute_slice_masks(val.frame, planned, distances), val.image_count)


def _repeat_images(
    val: ValidationSet, positions: NDArray[np.intp], wanted: NDArray[np.float64], max_repeats: int
) -> RepeatedImages:
    """Return the images with repetitions that come near the wanted number of each class."""
    labels = val.labels[positions]
    counts = np.bincount(labels, minlength=len(wanted))
    repeats = np.clip(np.round(wanted / np.maximum(counts, 1)), 1, max_repeats)
    return RepeatedImages(positions, repeats.astype(np.intp)[labels])


def find_planned_members(
    val: ValidationSet, membership: pd.DataFrame, slice_names: Collection[str]
) -> dict[str, Mask]:
    """Return bool [rows] for each slice: its images, by rules that the other half proposed.

    Args:
        val: the validation set.
        membership: images of each slice.
        slice_names: the planned slices.
    """
    return {name: val.find_members(name, membership) for name in sorted(slice_names)}


def join_masks(masks: Mapping[str, Mask], image_count: int) -> Mask:
    """Return bool [images]: whether an image is in any of the masks."""
    joined = np.zeros(image_count, dtype=np.bool_)
    for mask in masks.values():
        joined |= mask
    return joined


def draw_whole_groups(
    groups: NDArray[np.str_], can_draw: Mask, count: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return `count` positions of whole groups in random order; the last group may be cut.

    Args:
        groups: the group of each image, [n].
        can_draw: bool [n].
        count: number of positions, or fewer if there are no more.
        rng: source of the order.
    """
    codes = pd.factorize(pd.Series(groups))[0]
    ranks = rng.permutation(codes.max() + 1)[codes]
    positions = np.flatnonzero(can_draw)
    return np.sort(positions[np.argsort(ranks[positions], kind="stable")][:count])
