"""Slices across runs: what today's model does on the photos of today that earlier slices' frozen rules admit.

A photo counts for a rule only where its group had no part in proposing it (`Track.seen`): so the figures of one rule
may be compared over the runs, from the first on. All of it is counted on val; the sealed test has no part in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.evidence.intervals import cluster_mean, finite
from pipeline.evidence.permutation import excess_error
from pipeline.slicing.crossing import overlap
from pipeline.slicing.rules import Condition, Mask, Rule
from pipeline.slicing.track import STATES, Row, Track, ends, moved_on
from pipeline.slicing.validation import Val

MOST = 100  # slices followed; past it those go that were confirmed longest ago


def hashed(groups: Iterable[str]) -> NDArray[np.str_]:
    """A short name of each group [n] that tells nothing of its own."""
    codes, names = pd.factorize(np.asarray(list(groups), dtype=object))
    short = [hashlib.sha256(str(name).encode("utf-8", "replace")).hexdigest()[:16] for name in names]
    return np.array(short, dtype="<U16")[codes]


@dataclass(frozen=True)
class Found:
    """A slice that this run confirmed. seen: hashed names of the groups that its frozen rule was proposed on."""

    slice: str
    words: str
    rule: Rule
    seen: frozenset[str]


@dataclass(frozen=True)
class Today:
    """What this run's model answers. near: distances of the rows of val to each photo that a rule names (all NaN: it is
    sealed); gone, same: see `pipeline.stages.follow.Config`."""

    run_id: str
    val: Val
    near: Mapping[str, NDArray[np.float32]]
    gone: float
    same: float
    groups: NDArray[np.str_] = field(init=False)

    def __post_init__(self) -> None:
        """Hash the groups once."""
        object.__setattr__(self, "groups", hashed(self.val.groups))

    def lacks(self, rule: Rule) -> str:
        """What the rule asks for that the data does not have any more, in words; empty where it can be applied."""
        if rule.label is not None and rule.label not in self.val.names:
            return f"the data has no class {rule.label} any more, which its rule asks for"
        return next(filter(None, map(self._lacks, rule.conditions)), "")

    def _lacks(self, condition: Condition) -> str:
        name, frame = condition.column, self.val.frame
        if condition.op == "near":
            away = self.near.get(name)
            where = "is not in the data any more" if away is None else "is in the sealed test now"
            unknown = away is None or bool(np.isnan(away).all())
            return f"photo {name}, from which its rule measures, {where}" if unknown else ""
        if name not in frame:
            return f"the data has no {name} any more, which its rule asks for"
        numeric = condition.op == "is" or pd.api.types.is_numeric_dtype(frame[name])
        return "" if numeric else f"{name}, which its rule asks for, is not a number any more"

    def mask(self, rule: Rule) -> Mask:
        """bool [rows of val]: the photos that the rule admits."""
        return rule.mask(self.val.frame, self.near)

    def look(self, rule: Rule, seen: frozenset[str]) -> Row:
        """Of the photos whose group did not propose the rule: `n`, `groups` and `failures` that it admits, and their
        `share` of all; `error` (the mean loss there), `burden` (that loss spread over all photos) and `excess` (over
        photos of the same classes outside), each with its 95 % interval by group; `reason`: why these cannot be judged.
        """
        lacks, told = self.lacks(rule), ~np.isin(self.groups, list(seen))
        inside = (np.zeros(len(told), bool) if lacks else self.mask(rule))[told]
        losses, groups = self.val.losses[told], self.val.groups[told]
        test = excess_error(losses, self.val.truth[told], inside, groups, draws=0)
        few = f"too few photos to judge it by: {test.reason}" if test.reason else ""
        return {
            "run": self.run_id,
            "n": int(inside.sum()),
            "groups": len(np.unique(groups[inside])),
            "failures": int(self.val.errors[told][inside].sum()),
            "share": finite(float(inside.mean())) if len(inside) else None,
            "error": ends(cluster_mean(losses[inside], groups[inside], bounds=(0, 1))),
            "burden": ends(cluster_mean(losses * inside, groups, bounds=(0, 1))),
            "excess": ends(test.interval),
            "reason": lacks or few,
        }


def matches(today: Today, found: Sequence[Found], tracks: Sequence[Track]) -> dict[int, int]:
    """Which earlier slice (its place in `tracks`) is which of today (its place in `found`): best overlap first, each
    once. Two are the same where their rules admit mostly the same photos of val, which no outcome can sway."""
    ours = [today.mask(item.rule) for item in found]
    theirs = {k: today.mask(track.rule) for k, track in enumerate(tracks) if not today.lacks(track.rule)}
    pairs = [(overlap(mask, ours[i]), k, i) for k, mask in theirs.items() for i in range(len(ours))]
    same: dict[int, int] = {}
    for alike, k, i in sorted(pairs, key=lambda pair: -pair[0]):
        if alike >= today.same and k not in same and i not in same.values():
            same[k] = i
    return same


def followed(today: Today, found: Sequence[Found], earlier: Sequence[Track]) -> list[Track]:
    """Every slice that this run or an earlier one confirmed, in the order of `STATES`. earlier: as the run before left
    them, none for a first run."""
    same = matches(today, found, earlier)
    pairs = [(track, found[same[k]] if k in same else None) for k, track in enumerate(earlier)]
    fresh = [item for i, item in enumerate(found) if i not in same.values()]
    pairs += [(Track(today.run_id, item.slice, item.rule, item.seen, item.words), item) for item in fresh]
    tracks = []
    for track, item in pairs:
        name, words = (item.slice, item.words) if item else (None, "")
        tracks.append(moved_on(track, name, words, today.look(track.rule, track.seen), today.gone))
    latest = sorted(tracks, key=lambda track: track.last, reverse=True)[:MOST]
    return sorted(latest, key=lambda track: (STATES.index(track.state), track.since, track.first))
