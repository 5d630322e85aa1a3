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
        slice_positions: by half, positions of the targeted images by slice.
    """

    targeted: tuple[RepeatedImages, RepeatedImages]
    random: tuple[RepeatedImages, RepeatedImages]
    slice_positions: tuple[Mapping[str, NDArray[np.intp]], Mapping[str, NDArray[np.intp]]]


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
    would teach that dark images are of this class. They are repeated until each slice's condition
    is as frequent as in the validation set, and, within it, each class as frequent as in training:
    the shares of classes hold even where `max_repeats` ends the repetition. Random images occur
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
    conditions = _admit_images(val, explanations, slice_names)
    halves = assign_halves(val.folds)
    class_counts = np.bincount(training_labels, minlength=len(val.class_names))
    targeted, random, slice_positions = [], [], []
    for half in (0, 1):
        in_half = (halves == half) & ~np.asarray(val.has_label_issue)
        repeats = np.zeros(val.image_count, dtype=np.intp)
        positions = {}
        for name, condition in conditions.items():
            members = np.flatnonzero(in_half & condition)
            positions[name] = members
            wanted_counts = condition.mean() * class_counts
            slice_repeats = choose_repeats(val.labels[members], wanted_counts, max_repeats)
            repeats[members] = np.maximum(repeats[members], slice_repeats)
        members = np.flatnonzero(repeats)
        if not len(members):
            return None
        rng = np.random.default_rng([seed, half])
        drawn = draw_whole_groups(val.groups, in_half, len(members), rng)
        targeted.append(RepeatedImages(members, repeats[members]))
        random.append(RepeatedImages(drawn, np.ones(len(drawn), dtype=np.intp)))
        slice_positions.append(positions)
    return RealImages(
        (targeted[0], targeted[1]), (random[0], random[1]), (slice_positions[0], slice_positions[1])
    )


def _admit_images(
    val: ValidationSet, explanations: pd.DataFrame, slice_names: Collection[str]
) -> dict[str, Mask]:
    """Return bool [rows] for each planned slice: whether the image part of its rule admits it."""
    rules = parse_frozen_rules(explanations)
    planned = {name: rule for name, rule in rules.items() if name in slice_names}
    distances = measure_reference_distances(val.frame, planned.values(), val.embeddings)
    return compute_slice_masks(val.frame, planned, distances)


def choose_repeats(
    labels: NDArray[np.intp], wanted_counts: NDArray[np.float64], max_repeats: int
) -> NDArray[np.intp]:
    """Return how often each image occurs, [n], at least once and at most `max_repeats` times.

    Args:
        labels: class index of each image, [n].
        wanted_counts: occurrences to come near for each class, [classes]. If a class has too few
            images for its number, the other classes get fewer occurrences in proportion.
        max_repeats: largest number of occurrences of one image.

    >>> choose_repeats(np.array([0, 0, 0, 1]), np.array([12.0, 12.0]), 6).tolist()
    [2, 2, 2, 6]
    """
    counts = np.bincount(labels, minlength=len(wanted_counts))
    repeats = wanted_counts / np.maximum(counts, 1)
    largest = repeats[counts > 0].max(initial=0.0)
    if largest > max_repeats:
        repeats = repeats * (max_repeats / largest)
    return np.clip(np.round(repeats), 1, max_repeats).astype(np.intp)[labels]


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
