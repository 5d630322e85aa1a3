"""One slice over the runs: what each of them saw of its frozen rule, and what follows from that.

new: confirmed for the first time. open: confirmed again, or its rule still shows excess error. growing, shrinking:
open, and more or fewer of all images are in it and misread than in the run before, beyond chance. closed: shown to be
gone. back: closed before, and confirmed again. not assessable: none of these could be shown, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.domain.rules import Rule
from pipeline.domain.statuses import TrackState
from pipeline.statistics.group_intervals import (
    ConfidenceInterval,
    estimate_difference,
    sanitize_float,
)
from pipeline.statistics.permutation_tests import DEFAULT_TEST_LIMITS

TRACK_STATES = tuple(TrackState)
MAX_HISTORY_RUNS = 60  # runs that a history goes back; the first one stays
Row = dict[str, Any]
_DERIVED_KEYS = ("rule", "frozen", "now", "then", "history")


@dataclass(frozen=True)
class TrackedSlice:
    """A slice that some run confirmed. since, first: the run that did so first, and its name there; rule: frozen then;
    seen: hashed names of the groups on which it was proposed, whose images say nothing about it.

    slice: its name in this run, None where this one did not confirm it. last, error, excess: the run that confirmed it
    last, and what its rule showed there. closed: the run that showed it to be gone, None where it is not, or is back.
    change: of the share of all images that are in it and misread, with its interval, since `then`. history: what every
    run saw (`following.Today.look`, and `run` and `state`), oldest first.
    """

    since: str
    first: str
    rule: Rule
    seen: frozenset[str]
    words: str
    title: str = ""
    slice: str | None = None
    last: str = ""
    error: float | None = None
    excess: float | None = None
    closed: str | None = None
    state: str = TrackState.NEW
    why: str = ""
    change: Row | None = None
    history: tuple[Row, ...] = ()

    @property
    def current_point(self) -> Row:
        """What this run saw."""
        return self.history[-1]

    @property
    def previous_point(self) -> Row | None:
        """What the latest run before this one saw that could judge it, or None."""
        return next((point for point in reversed(self.history[:-1]) if not point["reason"]), None)

    def build_record(self) -> Row:
        """As JSON, `seen` left out."""
        kept = {
            name: value
            for name, value in vars(self).items()
            if name not in ("seen", *_DERIVED_KEYS)
        }
        rule = {"rule": self.rule.format_text(), "frozen": self.rule.dump_json()}
        return {
            **kept,
            **rule,
            "now": self.current_point,
            "then": self.previous_point,
            "history": list(self.history),
        }

    @classmethod
    def parse_record(
        cls, record: Mapping[str, Any], proposing_groups: frozenset[str]
    ) -> TrackedSlice:
        """What `record` wrote."""
        kept = {name: value for name, value in record.items() if name not in _DERIVED_KEYS}
        return cls(
            **kept,
            rule=Rule.parse_json(record["frozen"]),
            seen=proposing_groups,
            history=tuple(record["history"]),
        )


def dump_interval(interval: ConfidenceInterval) -> Row:
    """An interval as JSON: value, low, high."""
    return {name: sanitize_float(getattr(interval, name)) for name in ("value", "low", "high")}


def _compute_change(current_point: Row, previous_point: Row | None) -> Row | None:
    if previous_point is None or current_point["reason"]:
        return None
    sides = [
        ConfidenceInterval(**point["burden"], groups=point["groups"], n=point["n"])
        for point in (current_point, previous_point)
    ]
    return dump_interval(estimate_difference(*sides))


def _format_change(change: Row) -> str:
    low, high = (f"{100 * change[end]:+.1f}" for end in ("low", "high"))
    return f"{100 * change['value']:+.1f} points, {low} to {high}"


def _classify_change(track: TrackedSlice) -> tuple[TrackState, str]:
    """growing or shrinking, and why; open where no change was shown."""
    change, then = track.change, track.previous_point
    if change is None or then is None:
        return TrackState.OPEN, ""
    if change["low"] <= 0 <= change["high"]:
        return TrackState.OPEN, f"; no change was shown since run {then['run']}"
    state, more = (
        (TrackState.GROWING, "more") if change["low"] > 0 else (TrackState.SHRINKING, "fewer")
    )
    return (
        state,
        f"; {more} of all images are in it and misread than in run {then['run']} ({_format_change(change)})",
    )


def _classify_confirmed(track: TrackedSlice) -> tuple[TrackState, str]:
    if len(track.history) == 1:
        return TrackState.NEW, "first confirmed in this run"
    if track.closed:
        return TrackState.BACK, f"closed in run {track.closed}, and confirmed again"
    state, why = _classify_change(track)
    return state, f"confirmed again{why}"


def bound_excess_error(current_point: Row) -> float:
    """The largest excess error that a run's images allow. Where none of them failed, groups that differ in nothing
    have no spread: then it is Wilson's bound on the error less what is expected."""
    error, excess = current_point["error"], current_point["excess"]
    if error["value"] > 0:
        return float(excess["high"])
    return float(max(excess["high"], error["high"] - (error["value"] - excess["value"])))


def is_slice_gone(track: TrackedSlice, closing_limit: float) -> bool:
    """Whether this run shows the slice to be gone: its error fell, is not in excess, and exceeds that of its classes by
    less than `limit` and less than half of what it did. What became as bad everywhere closes nothing."""
    now, excess = track.current_point, track.excess or 0.0
    margin = max(DEFAULT_TEST_LIMITS.min_effect, min(closing_limit, excess / 2))
    fell = track.error is None or now["error"]["value"] < track.error
    return bool(fell and now["excess"]["low"] <= 0 and bound_excess_error(now) < margin)


def _classify_unconfirmed(track: TrackedSlice, closing_limit: float) -> tuple[TrackState, str]:
    now = track.current_point
    if now["reason"]:
        return (TrackState.CLOSED if track.closed else TrackState.NOT_ASSESSABLE), str(
            now["reason"]
        )
    state, why = _classify_change(track)
    told = f"excess error {_format_change(now['excess'])}"
    if now["excess"]["low"] > 0:
        return state, f"not confirmed in this run, but its rule still shows it: {told}{why}"
    if is_slice_gone(track, closing_limit) or track.closed:
        return TrackState.CLOSED, f"no longer in excess: {told}"
    if state == TrackState.SHRINKING:
        return state, f"not confirmed in this run, and not shown to be gone: {told}{why}"
    return TrackState.NOT_ASSESSABLE, f"neither shown to be there nor to be gone: {told}"


def append_run(
    track: TrackedSlice, slice_name: str | None, point: Row, closing_limit: float
) -> TrackedSlice:
    """The track one run later. name: that of the slice that this run confirmed and that is the same, None where there
    is none; point: what the run saw, with its `run`; limit: see `gone`."""
    kept = (
        track.history
        if len(track.history) < MAX_HISTORY_RUNS
        else (track.history[0], *track.history[2 - MAX_HISTORY_RUNS :])
    )
    track = replace(track, slice=slice_name, history=(*kept, point))
    track = replace(track, change=_compute_change(point, track.previous_point))
    state, why = (
        _classify_confirmed(track) if slice_name else _classify_unconfirmed(track, closing_limit)
    )
    history = (*kept, {**point, "state": state})
    if slice_name:
        last = {
            "last": point["run"],
            "error": point["error"]["value"],
            "excess": point["excess"]["value"],
        }
        return replace(track, state=state, why=why, closed=None, history=history, **last)
    closed = track.closed or (point["run"] if state == TrackState.CLOSED else None)
    return replace(track, state=state, why=why, closed=closed, history=history)
