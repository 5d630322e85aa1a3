"""Classes that fail as a whole, and long tails: candidates with a family-wise test of their own.

A class has no excess error over itself, so that the family of rules, which compares images within
their class, cannot find it. Here whole classes are compared with each other. Images of confirmed
slices are left out: a class is no finding of its own if a slice of it explains its errors.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from pipeline.domain.rules import Mask
from pipeline.domain.statuses import ClassSliceKind
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.statistics.families.maximum_test import run_maximum_test
from pipeline.statistics.group_intervals import encode_groups

Counts = NDArray[np.intp]

CLASS_SLICE_DTYPES = {
    "kind": "str",
    "classes": "str",
    "n": "int64",
    "groups": "int64",
    "failures": "int64",
    "error": "float64",
    "expected": "float64",
    "recoverable": "float64",
    "family_p": "float64",
    "training_images": "Int64",
    "usual_training_images": "Int64",
    "confused_label": "str",
    "confused_prediction": "str",
    "confused_failures": "int64",
}
"""Columns and dtypes of the artifact `class_slices`."""


@dataclass(frozen=True)
class ClassCandidate:
    """Whole classes that may fail more often than the others.

    Attributes:
        kind: whether it is one class, or the rarest classes of training together.
        classes: indices of the classes.
    """

    kind: ClassSliceKind
    classes: tuple[int, ...]

    def find_images(self, labels: Counts) -> Mask:
        """Return bool [n]: whether each label is one of the classes."""
        return np.isin(labels, self.classes)


def list_class_candidates(class_count: int, training_counts: Counts | None) -> list[ClassCandidate]:
    """Return every class, and the rarest classes of training together.

    A tail holds two classes or more, with at most a share of the images of the median class.

    Args:
        class_count: number of classes.
        training_counts: intp [classes], training images; None if they are unknown.
    """
    candidates = [ClassCandidate(ClassSliceKind.CLASS, (index,)) for index in range(class_count)]
    if training_counts is None:
        return candidates
    median = float(np.median(training_counts))
    tails = []
    for share in CONSTANTS.family.long_tail_shares:
        rare = np.flatnonzero(training_counts <= share * median)
        if 2 <= len(rare) < class_count:
            tails.append(tuple(rare.tolist()))
    tails = list(dict.fromkeys(tails))
    return candidates + [ClassCandidate(ClassSliceKind.LONG_TAIL, tail) for tail in tails]


def find_class_slices(
    val: ValidationSet, is_outside: Mask, training_counts: Counts | None, *, level: float, seed: int
) -> pd.DataFrame:
    """Return the classes that fail more often than the others, by recoverable errors.

    They are taken step by step: images of those before are left out, and the others are tested
    again. Membership looks at the label alone. The most frequent confusion describes a finding and
    is no part of its rule.

    Args:
        val: the validation set.
        is_outside: bool [rows], images outside every confirmed slice.
        training_counts: intp [classes], training images; None if they are unknown.
        level: family-wise level.
        seed: seed of the permutations.

    Returns:
        One row for each finding, with the columns `CLASS_SLICE_DTYPES`.
    """
    candidates = list_class_candidates(len(val.class_names), training_counts)
    is_left = is_outside.copy()
    rows: list[dict[str, Any]] = []
    family_p = 0.0
    while True:
        found = _test_candidates(val, candidates, is_left, seed + len(rows))
        if found is None or found[1] > level:
            break
        candidate, p = found
        family_p = max(family_p, p)
        is_member = candidate.find_images(val.labels) & is_left
        rows.append(
            _describe_finding(val, candidate, is_member, is_left, training_counts)
            | {"family_p": family_p}
        )
        is_left &= ~is_member
    table = pd.DataFrame(rows, columns=list(CLASS_SLICE_DTYPES)).astype(CLASS_SLICE_DTYPES)
    return table.sort_values("recoverable", ascending=False, ignore_index=True)


def _test_candidates(
    val: ValidationSet, candidates: list[ClassCandidate], is_left: Mask, seed: int
) -> tuple[ClassCandidate, float] | None:
    """Return the most significant candidate and its family-wise p; None if none can be tested.

    The images of one class in one group exchange outcomes as a whole.
    """
    rows = np.flatnonzero(is_left)
    labels, groups = val.labels[rows], val.groups[rows]
    tested = list(_select_testable(candidates, labels, groups))
    if not tested:
        return None
    masks = np.array([item.find_images(labels) for item in tested], dtype=np.float32)
    blocks = np.char.add(np.char.add(groups.astype(str), "/"), labels.astype(str))
    test = run_maximum_test(
        sparse.csr_array(masks),
        val.error_losses[rows],
        np.zeros(len(rows), np.intp),
        encode_groups(blocks)[0],
        CONSTANTS.family.max_draws,
        seed,
    )
    sizes = masks.sum(1)
    # the sum is in excess of the mean of all images; over the others alone it is larger
    excess = test.sums / sizes / (1 - sizes / len(rows))
    is_eligible = excess >= CONSTANTS.family.min_excess
    if not is_eligible.any():
        return None
    best = int(np.argmax(np.where(is_eligible, test.scores, -np.inf)))
    return tested[best], float(test.compute_p_values(test.scores)[best])


def _select_testable(
    candidates: list[ClassCandidate], labels: Counts, groups: NDArray[Any]
) -> Iterator[ClassCandidate]:
    """Yield the candidates with enough groups inside and outside, each set of images once."""
    seen = set()
    for candidate in candidates:
        is_member = candidate.find_images(labels)
        key = is_member.tobytes()
        counts = [len(np.unique(groups[part])) for part in (is_member, ~is_member)]
        if min(counts) >= CONSTANTS.family.min_groups and key not in seen:
            seen.add(key)
            yield candidate


def _describe_finding(
    val: ValidationSet,
    candidate: ClassCandidate,
    is_member: Mask,
    is_left: Mask,
    training_counts: Counts | None,
) -> dict[str, Any]:
    """Return the row of a finding without its p-value."""
    is_failure = is_member & val.is_misclassified
    pairs = zip(val.labels[is_failure].tolist(), val.predictions[is_failure].tolist(), strict=True)
    most_frequent = Counter(pairs).most_common(1)
    (label, prediction), count = most_frequent[0] if most_frequent else ((0, 0), 0)
    names = [val.class_names[index] for index in candidate.classes]
    error = float(val.error_losses[is_member].mean())
    expected = float(val.error_losses[is_left & ~is_member].mean())
    return {
        "kind": candidate.kind,
        "classes": json.dumps(names, ensure_ascii=False),
        "n": int(is_member.sum()),
        "groups": len(np.unique(val.groups[is_member])),
        "failures": int(is_failure.sum()),
        "error": error,
        "expected": expected,
        "recoverable": (error - expected) * int(is_member.sum()),
        "confused_label": val.class_names[label] if count else None,
        "confused_prediction": val.class_names[prediction] if count else None,
        "confused_failures": count,
        **_count_training(candidate, training_counts),
    }


def _count_training(
    candidate: ClassCandidate, training_counts: Counts | None
) -> dict[str, int | None]:
    """Return the training images of a class, the mean of several, and of the median other class."""
    if training_counts is None:
        return {"training_images": None, "usual_training_images": None}
    others = np.delete(training_counts, candidate.classes)
    own = training_counts[list(candidate.classes)]
    return {
        "training_images": round(float(own.mean())),
        "usual_training_images": round(float(np.median(others))),
    }
