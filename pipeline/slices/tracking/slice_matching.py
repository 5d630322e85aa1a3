"""Slices across runs: what today's model does on the images of today that earlier slices' frozen rules admit.

A image counts for a rule only where its group had no part in proposing it (`Track.seen`): so the figures of one rule
may be compared over the runs, from the first on. All of it is counted on val; the sealed test has no part in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import Condition, Mask, Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.cross_fitting import compute_overlap
from pipeline.slices.tracking.slice_history import (
    TRACK_STATES,
    Row,
    TrackedSlice,
    append_run,
    dump_interval,
)
from pipeline.statistics.group_intervals import estimate_cluster_mean, sanitize_float
from pipeline.statistics.permutation_tests import estimate_excess_error

MAX_TRACKED_SLICES = 100  # slices followed; past it those go that were confirmed longest ago


def hash_groups(groups: Iterable[str]) -> NDArray[np.str_]:
    """A short name of each group [n] that tells nothing of its own."""
    codes, names = pd.factorize(np.asarray(list(groups), dtype=object))
    short = [
        hashlib.sha256(str(name).encode("utf-8", "replace")).hexdigest()[:16] for name in names
    ]
    return np.array(short, dtype="<U16")[codes]


@dataclass(frozen=True)
class ConfirmedSlice:
    """A slice that this run confirmed. seen: hashed names of the groups that its frozen rule was proposed on."""

    slice_name: str
    description: str
    title: str
    rule: Rule
    proposing_groups: frozenset[str]


@dataclass(frozen=True)
class CurrentRun:
    """What this run's model answers. near: distances of the rows of val to each image that a rule names (all NaN: it is
    sealed); gone, same: see `pipeline.stages.follow.Config`."""

    run_id: str
    val: ValidationSet
    reference_distances: Mapping[str, NDArray[np.float32]]
    closing_limit: float
    min_overlap: float
    groups: NDArray[np.str_] = field(init=False)

    def __post_init__(self) -> None:
        """Hash the groups once."""
        object.__setattr__(self, "groups", hash_groups(self.val.groups))

    def describe_missing_data(self, rule: Rule) -> str:
        """What the rule asks for that the data does not have any more, in words; empty where it can be applied."""
        if rule.label is not None and rule.label not in self.val.class_names:
            return f"the data has no class {rule.label} any more, which its rule asks for"
        return next(filter(None, map(self._describe_missing_column, rule.conditions)), "")

    def _describe_missing_column(self, condition: Condition) -> str:
        name, frame = condition.column, self.val.frame
        if condition.op == "near":
            away = self.reference_distances.get(name)
            where = "is not in the data any more" if away is None else "is in the sealed test now"
            unknown = away is None or bool(np.isnan(away).all())
            return f"image {name}, from which its rule measures, {where}" if unknown else ""
        if name not in frame:
            return f"the data has no {name} any more, which its rule asks for"
        numeric = condition.op == "is" or pd.api.types.is_numeric_dtype(frame[name])
        return "" if numeric else f"{name}, which its rule asks for, is not a number any more"

    def compute_mask(self, rule: Rule) -> Mask:
        """bool [rows of val]: the images that the rule admits."""
        return rule.compute_mask(self.val.frame, self.reference_distances)

    def evaluate_rule(self, rule: Rule, proposing_groups: frozenset[str]) -> Row:
        """Of the images whose group did not propose the rule: `n`, `groups` and `failures` that it admits, and their
        `share` of all; `error` (the mean loss there), `burden` (that loss spread over all images) and `excess` (over
        images of the same classes outside), each with its 95 % interval by group; `reason`: why these cannot be judged.
        """
        lacks, told = (
            self.describe_missing_data(rule),
            ~np.isin(self.groups, list(proposing_groups)),
        )
        inside = (np.zeros(len(told), bool) if lacks else self.compute_mask(rule))[told]
        losses, groups = self.val.error_losses[told], self.val.groups[told]
        test = estimate_excess_error(losses, self.val.labels[told], inside, groups, draws=0)
        few = f"too few images to judge it by: {test.reason}" if test.reason else ""
        return {
            "run": self.run_id,
            "n": int(inside.sum()),
            "groups": len(np.unique(groups[inside])),
            "failures": int(self.val.is_misclassified[told][inside].sum()),
            "share": sanitize_float(float(inside.mean())) if len(inside) else None,
            "error": dump_interval(
                estimate_cluster_mean(losses[inside], groups[inside], bounds=(0, 1))
            ),
            "burden": dump_interval(estimate_cluster_mean(losses * inside, groups, bounds=(0, 1))),
            "excess": dump_interval(test.interval),
            "reason": lacks or few,
        }


def match_slices(
    current_run: CurrentRun,
    confirmed_slices: Sequence[ConfirmedSlice],
    tracked_slices: Sequence[TrackedSlice],
) -> dict[int, int]:
    """Which earlier slice (its place in `tracks`) is which of today (its place in `found`): best overlap first, each
    once. Two are the same where their rules admit mostly the same images of val, which no outcome can sway."""
    ours = [current_run.compute_mask(item.rule) for item in confirmed_slices]
    theirs = {
        k: current_run.compute_mask(track.rule)
        for k, track in enumerate(tracked_slices)
        if not current_run.describe_missing_data(track.rule)
    }
    pairs = [
        (compute_overlap(mask, ours[i]), k, i)
        for k, mask in theirs.items()
        for i in range(len(ours))
    ]
    same: dict[int, int] = {}
    for alike, k, i in sorted(pairs, key=lambda pair: -pair[0]):
        if alike >= current_run.min_overlap and k not in same and i not in same.values():
            same[k] = i
    return same


def track_slices(
    current_run: CurrentRun,
    confirmed_slices: Sequence[ConfirmedSlice],
    earlier_slices: Sequence[TrackedSlice],
) -> list[TrackedSlice]:
    """Every slice that this run or an earlier one confirmed, in the order of `STATES`. earlier: as the run before left
    them, none for a first run."""
    same = match_slices(current_run, confirmed_slices, earlier_slices)
    pairs = [
        (track, confirmed_slices[same[k]] if k in same else None)
        for k, track in enumerate(earlier_slices)
    ]
    fresh = [item for i, item in enumerate(confirmed_slices) if i not in same.values()]
    pairs += [
        (
            TrackedSlice(
                current_run.run_id,
                item.slice_name,
                item.rule,
                item.proposing_groups,
                item.description,
                item.title,
            ),
            item,
        )
        for item in fresh
    ]
    tracks = []
    for track, item in pairs:
        if item:
            track = replace(track, words=item.description, title=item.title)
        tracks.append(
            append_run(
                track,
                item.slice_name if item else None,
                current_run.evaluate_rule(track.rule, track.seen),
                current_run.closing_limit,
            )
        )
    latest = sorted(tracks, key=lambda track: track.last, reverse=True)[:MAX_TRACKED_SLICES]
    return sorted(
        latest, key=lambda track: (TRACK_STATES.index(track.state), track.since, track.first)
    )
