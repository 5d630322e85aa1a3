"""The family of candidate rules: conditions alone, paired, and by class, as one sparse matrix.

Pairs by class are no candidates: of 2,600 images they were seven in ten of all, each with few
images, and raised the score that is needed from 4.9 to 5.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pipeline.domain.rules import Condition, Mask, Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.family.family_conditions import FamilyCondition, list_family_conditions
from pipeline.slices.family.feature_neighborhoods import build_neighborhoods
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.slices.shortcuts.class_marks import list_unmarked_rules
from pipeline.statistics.group_intervals import encode_groups

NONE = -1
Parts = NDArray[np.intp]


@dataclass(frozen=True)
class CandidateFamily:
    """Candidate rules with the images that they admit.

    Attributes:
        conditions: the conditions that rules are built from.
        class_names: names of the classes.
        parts: intp [candidates, 3]: first condition, second condition and class; -1 for none.
        masks: float32 [candidates, rows], 1 for the images that a rule admits.
        reference_distances: float32 [rows] of cosine distances, by id of each image that a
            condition names.
    """

    conditions: list[Condition]
    class_names: tuple[str, ...]
    parts: Parts
    masks: sparse.csr_array
    reference_distances: Mapping[str, NDArray[np.float32]]

    @property
    def sizes(self) -> NDArray[np.intp]:
        """Return intp [candidates]: the number of images of each."""
        return np.diff(self.masks.indptr)

    def build_rule(self, candidate: int) -> Rule:
        """Return the rule of a candidate."""
        first, second, class_index = self.parts[candidate].tolist()
        conditions = tuple(self.conditions[part] for part in (first, second) if part != NONE)
        label = None if class_index == NONE else self.class_names[class_index]
        rule = Rule(conditions, label)
        if rule.is_unmarked_class:
            return Rule(conditions, label, "mark")
        return Rule(conditions, label, "frozen features") if rule.has_similarity_condition else rule

    def get_mask(self, candidate: int) -> Mask:
        """Return bool [rows]: the images that the rule of a candidate admits."""
        mask = np.zeros(self.masks.shape[1], bool)
        start, end = self.masks.indptr[candidate : candidate + 2]
        mask[self.masks.indices[start:end]] = True
        return mask


def _build_pairs(
    masks: sparse.csr_array, columns: NDArray[np.str_], paired: Parts, min_images: int
) -> tuple[Parts, sparse.csr_array]:
    """Return pairs of conditions on different columns, smallest first, within the budget.

    A pair that leaves out hardly any image of a part is that part, and is left out.
    """
    constants = CONSTANTS.family
    part_masks = masks[paired]
    sizes = np.diff(part_masks.indptr)
    dense = part_masks.toarray()
    shared = dense @ dense.T
    smaller = np.minimum(sizes[:, None], sizes[None, :])
    is_usable = (shared >= min_images) & (shared <= constants.max_pair_share * smaller)
    is_usable &= columns[paired][:, None] != columns[paired][None, :]
    first, second = np.nonzero(np.triu(is_usable, 1))
    order = np.argsort(shared[first, second], kind="stable")
    entries = np.cumsum(shared[first, second][order])
    order = order[entries <= constants.max_mask_entries / 4]
    first, second = first[order], second[order]
    pieces = []
    for start in range(0, len(first), constants.chunk_pairs):
        chunk = slice(start, start + constants.chunk_pairs)
        pieces.append(part_masks[first[chunk]].multiply(part_masks[second[chunk]]).tocsr())
    pair_masks = sparse.vstack(pieces) if pieces else masks[:0]
    parts = np.column_stack([paired[first], paired[second], np.full(len(first), NONE)])
    return parts.astype(np.intp), sparse.csr_array(pair_masks)


def _restrict_to_classes(
    parts: Parts, masks: sparse.csr_array, labels: NDArray[np.intp], min_images: int
) -> tuple[list[Parts], list[sparse.csr_array]]:
    """Return every candidate once for each class with enough images in it, but not all."""
    constants = CONSTANTS.family
    class_sizes = np.bincount(labels)
    indicator = np.eye(len(class_sizes), dtype=np.float32)[labels]
    counts = masks @ indicator
    sizes = np.diff(masks.indptr)
    restricted_parts, restricted_masks = [], []
    for class_index, class_size in enumerate(class_sizes):
        own = counts[:, class_index]
        is_usable = (own >= min_images) & (own < sizes)
        is_usable &= own <= CONSTANTS.family.max_condition_share * class_size
        rows = np.flatnonzero(is_usable)
        rows = rows[np.cumsum(own[rows]) <= constants.max_mask_entries / len(class_sizes) / 2]
        chosen = masks[rows]
        is_kept = labels[chosen.indices] == class_index
        kept_before = np.r_[0, np.cumsum(is_kept)]
        kept = (chosen.data[is_kept], chosen.indices[is_kept], kept_before[chosen.indptr])
        own_parts = parts[rows].copy()
        own_parts[:, 2] = class_index
        restricted_parts.append(own_parts)
        restricted_masks.append(sparse.csr_array(kept, shape=chosen.shape))
    return restricted_parts, restricted_masks


def count_candidate_groups(masks: sparse.csr_array, groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return intp [candidates]: the number of groups with an image in each candidate.

    Args:
        masks: [candidates, rows].
        groups: intp [rows], 0..
    """
    group_count = int(groups.max(initial=0)) + 1
    if group_count == len(groups):
        return np.diff(masks.indptr)
    ones = np.ones(len(groups), np.float32)
    indicator = sparse.csr_array((ones, (np.arange(len(groups)), groups)))
    return np.diff((masks @ indicator).indptr)


def _find_distinct(masks: sparse.csr_array) -> Parts:
    """Return the first candidate of each set of images, in order."""
    weights = np.random.default_rng(0).random(masks.shape[1])
    sums = np.add.reduceat(np.r_[weights[masks.indices], 0.0], masks.indptr[:-1])
    return np.sort(np.unique(np.round(sums, 6), return_index=True)[1])


def _list_parts(
    val: ValidationSet, min_images: int, seed: int
) -> tuple[list[FamilyCondition], Parts, Mapping[str, NDArray[np.float32]]]:
    """Return the conditions, the class of each (-1 for none), and the distances that they need."""
    codes = {name: index for index, name in enumerate(val.class_names)}
    listed = list_family_conditions(val.frame, min_images)
    class_of = [NONE] * len(listed)
    neighborhoods, distances = build_neighborhoods(val, min_images, seed)
    items = [(item.condition, item.label, item.is_paired) for item in neighborhoods]
    for rule in list_unmarked_rules(val.frame.columns):
        if rule.label in codes:
            items.append((rule.conditions[0], rule.label, False))
    for condition, label, is_paired in items:
        mask = Rule((condition,), label).compute_mask(val.frame, distances)
        listed.append(FamilyCondition(condition, mask, is_paired))
        class_of.append(NONE if label is None else codes[label])
    return listed, np.array(class_of, dtype=np.intp), distances


def build_candidate_family(val: ValidationSet, min_images: int, seed: int) -> CandidateFamily:
    """Return the family of a validation set. No prediction is looked at.

    Args:
        val: the validation set.
        min_images: fewest images of a candidate; a mark may be missing from fewer.
        seed: seed of the clusterings.
    """
    listed, class_of, distances = _list_parts(val, min_images, seed)
    conditions = [item.condition for item in listed]
    if not listed:
        nothing = sparse.csr_array(np.zeros((0, val.image_count), np.float32))
        return CandidateFamily([], val.class_names, np.zeros((0, 3), np.intp), nothing, distances)
    masks = sparse.csr_array(np.array([item.mask for item in listed]), dtype=np.float32)
    single = np.arange(len(listed))
    singles = np.column_stack([single, np.full(len(listed), NONE), class_of])
    paired = np.flatnonzero([item.is_paired for item in listed])
    columns = np.array([condition.column for condition in conditions])
    pairs, pair_masks = _build_pairs(masks, columns, paired, min_images)
    is_general = class_of == NONE
    class_parts, class_masks = _restrict_to_classes(
        singles[is_general], masks[is_general], val.labels, min_images
    )
    parts = np.vstack([singles, pairs, *class_parts])
    masks = sparse.csr_array(sparse.vstack([masks, pair_masks, *class_masks]))
    group_counts = count_candidate_groups(masks, encode_groups(val.groups)[0])
    keep = _find_distinct(masks)
    keep = keep[group_counts[keep] >= CONSTANTS.family.min_groups]
    return CandidateFamily(conditions, val.class_names, parts[keep], masks[keep, :], distances)
