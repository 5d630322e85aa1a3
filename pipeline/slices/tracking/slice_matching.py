"""Slices matched across runs: what this run's model does on images that earlier rules admit.

An image counts for a rule only if its group was not used to propose it. The measurements of one
rule are then comparable over the runs, from the first one on. They are made on the validation set;
the sealed test set has no part in them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import Condition, Mask, Rule
from pipeline.domain.statuses import AssessmentObstacle
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.cross_fitting import compute_overlap
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.slices.tracking.slice_history import (
    TRACK_STATES,
    Row,
    TrackedSlice,
    append_run,
    dump_interval,
)
from pipeline.statistics.group_intervals import estimate_cluster_mean, sanitize_float
from pipeline.statistics.permutation_tests import estimate_excess_error
from pipeline.statistics.untestable_reasons import UntestableReason


def hash_groups(groups: Iterable[str]) -> NDArray[np.str_]:
    """Return a short hash of each group [n], which does not reveal its name."""
    digits = CONSTANTS.tracking.group_hash_digits
    codes, names = pd.factorize(np.asarray(list(groups), dtype=object))
    hashes = []
    for name in names:
        digest = hashlib.sha256(str(name).encode("utf-8", "replace")).hexdigest()
        hashes.append(digest[:digits])
    return np.array(hashes, dtype=f"<U{digits}")[codes]


def _build_obstacle(
    kind: AssessmentObstacle, name: str | None, reason: UntestableReason | None = None
) -> Row:
    return {"kind": kind, "name": name, "reason": reason and reason.build_record()}


@dataclass(frozen=True)
class ConfirmedSlice:
    """A slice that this run confirmed.

    Attributes:
        slice_name: its name in this run.
        description: the slice in words.
        title: the same without counts.
        rule: its frozen rule.
        proposing_groups: hashed groups that the rule was proposed on.
    """

    slice_name: str
    description: str
    title: str
    rule: Rule
    proposing_groups: frozenset[str]


@dataclass(frozen=True)
class CurrentRun:
    """The validation set of this run with its model's predictions.

    Attributes:
        run_id: the run.
        val: the validation set.
        reference_distances: float32 [rows] of cosine distances, by id of each image that a rule
            names; all NaN if that image is sealed.
        closing_limit: excess error below which a slice is gone.
        min_overlap: least overlap of two rules of one slice.
        groups: hashed group of each image [rows].
    """

    run_id: str
    val: ValidationSet
    reference_distances: Mapping[str, NDArray[np.float32]]
    closing_limit: float
    min_overlap: float
    groups: NDArray[np.str_] = field(init=False)

    def __post_init__(self) -> None:
        """Hash the groups once."""
        object.__setattr__(self, "groups", hash_groups(self.val.groups))

    def find_missing_data(self, rule: Rule) -> Row | None:
        """Return the kind and name of what a rule needs and the data lacks; None for nothing."""
        if rule.label is not None and rule.label not in self.val.class_names:
            return _build_obstacle(AssessmentObstacle.MISSING_CLASS, rule.label)
        for condition in rule.conditions:
            kind = self._find_column_obstacle(condition)
            if kind:
                return _build_obstacle(kind, condition.column)
        return None

    def _find_column_obstacle(self, condition: Condition) -> AssessmentObstacle | None:
        name, frame = condition.column, self.val.frame
        if condition.op == "near":
            return self._find_image_obstacle(name)
        if name not in frame:
            return AssessmentObstacle.MISSING_COLUMN
        if condition.op not in ("is", "starts") and not pd.api.types.is_numeric_dtype(frame[name]):
            return AssessmentObstacle.COLUMN_NOT_NUMERIC
        return None

    def _find_image_obstacle(self, image_id: str) -> AssessmentObstacle | None:
        distances = self.reference_distances.get(image_id)
        if distances is None:
            return AssessmentObstacle.MISSING_IMAGE
        return AssessmentObstacle.SEALED_IMAGE if np.isnan(distances).all() else None

    def compute_mask(self, rule: Rule) -> Mask:
        """Return bool [rows]: whether the rule admits each validation image."""
        return rule.compute_mask(self.val.frame, self.reference_distances)

    def evaluate_rule(self, rule: Rule, proposing_groups: frozenset[str]) -> Row:
        """Measure a rule on the images whose group was not used to propose it.

        Args:
            rule: the rule.
            proposing_groups: hashed groups that it was proposed on.

        Returns:
            run; n, groups and failures: of the images that the rule admits; share: their share of
            all images; error: mean loss among them; burden: that loss per image of the whole;
            excess: their excess error over the same classes outside; obstacle: why these cannot be
            assessed (kind, name and reason of the test), or None. error, burden and excess have
            their 95 % interval by group.
        """
        obstacle = self.find_missing_data(rule)
        is_eligible = ~np.isin(self.groups, list(proposing_groups))
        inside = np.zeros(int(is_eligible.sum()), bool)
        if not obstacle:
            inside = self.compute_mask(rule)[is_eligible]
        losses = self.val.error_losses[is_eligible]
        groups = self.val.groups[is_eligible]
        labels = self.val.labels[is_eligible]
        test = estimate_excess_error(losses, labels, inside, groups, draws=0)
        error = estimate_cluster_mean(losses[inside], groups[inside], bounds=(0, 1))
        burden = estimate_cluster_mean(losses * inside, groups, bounds=(0, 1))
        if test.reason and not obstacle:
            obstacle = _build_obstacle(AssessmentObstacle.UNTESTABLE, None, test.reason)
        return {
            "run": self.run_id,
            "n": int(inside.sum()),
            "groups": len(np.unique(groups[inside])),
            "failures": int(self.val.is_misclassified[is_eligible][inside].sum()),
            "share": sanitize_float(float(inside.mean())) if len(inside) else None,
            "error": dump_interval(error),
            "burden": dump_interval(burden),
            "excess": dump_interval(test.interval),
            "obstacle": obstacle,
        }


def match_slices(
    current_run: CurrentRun,
    confirmed_slices: Sequence[ConfirmedSlice],
    tracked_slices: Sequence[TrackedSlice],
) -> dict[int, int]:
    """Return which earlier slice is which confirmed one, the best overlap first, each once.

    Two slices are the same if their rules admit mostly the same validation images. Overlap depends
    on no outcome.

    Args:
        current_run: the validation set of this run.
        confirmed_slices: the slices that this run confirmed.
        tracked_slices: the slices that earlier runs confirmed.

    Returns:
        Index in `confirmed_slices` by index in `tracked_slices`.
    """
    confirmed_masks = [current_run.compute_mask(item.rule) for item in confirmed_slices]
    pairs = []
    for tracked, track in enumerate(tracked_slices):
        if current_run.find_missing_data(track.rule):
            continue
        mask = current_run.compute_mask(track.rule)
        for confirmed, confirmed_mask in enumerate(confirmed_masks):
            pairs.append((compute_overlap(mask, confirmed_mask), tracked, confirmed))
    matches: dict[int, int] = {}
    for overlap, tracked, confirmed in sorted(pairs, key=lambda pair: -pair[0]):
        is_free = tracked not in matches and confirmed not in matches.values()
        if is_free and overlap >= current_run.min_overlap:
            matches[tracked] = confirmed
    return matches


def _start_track(run_id: str, confirmed: ConfirmedSlice) -> TrackedSlice:
    return TrackedSlice(
        first_run_id=run_id,
        first_name=confirmed.slice_name,
        rule=confirmed.rule,
        proposing_groups=confirmed.proposing_groups,
        description=confirmed.description,
        title=confirmed.title,
    )


def _update_track(
    current_run: CurrentRun, track: TrackedSlice, confirmed: ConfirmedSlice | None
) -> TrackedSlice:
    name = None
    if confirmed is not None:
        name = confirmed.slice_name
        track = replace(track, description=confirmed.description, title=confirmed.title)
    point = current_run.evaluate_rule(track.rule, track.proposing_groups)
    return append_run(track, name, point, current_run.closing_limit)


def track_slices(
    current_run: CurrentRun,
    confirmed_slices: Sequence[ConfirmedSlice],
    earlier_slices: Sequence[TrackedSlice],
) -> list[TrackedSlice]:
    """Return every slice that this run or an earlier one confirmed, in the order of `TRACK_STATES`.

    Args:
        current_run: the validation set of this run.
        confirmed_slices: the slices that this run confirmed.
        earlier_slices: the slices as the run before left them; none for a first run.
    """
    matches = match_slices(current_run, confirmed_slices, earlier_slices)
    tracks = []
    for index, track in enumerate(earlier_slices):
        confirmed = confirmed_slices[matches[index]] if index in matches else None
        tracks.append(_update_track(current_run, track, confirmed))
    for index, confirmed in enumerate(confirmed_slices):
        if index not in matches.values():
            track = _start_track(current_run.run_id, confirmed)
            tracks.append(_update_track(current_run, track, confirmed))
    tracks.sort(key=lambda track: track.last_run_id, reverse=True)
    kept = tracks[: CONSTANTS.tracking.max_tracked_slices]
    return sorted(
        kept,
        key=lambda track: (TRACK_STATES.index(track.state), track.first_run_id, track.first_name),
    )
