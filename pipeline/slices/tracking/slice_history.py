"""One slice over the runs: what each run measured of its frozen rule, and the state that follows.

- new: confirmed for the first time.
- open: confirmed again, or its rule still has excess error.
- growing, shrinking: open, and the share of all images that are misclassified in it has risen or
  fallen since the run before, beyond chance.
- closed: shown to be gone.
- back: closed before, and confirmed again.
- not assessable: none of these could be shown, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.domain.rules import Rule
from pipeline.domain.statuses import TrackReason, TrackState
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.statistics.group_intervals import (
    ConfidenceInterval,
    estimate_difference,
    sanitize_float,
)
from pipeline.statistics.permutation_tests import DEFAULT_TEST_LIMITS

TRACK_STATES = tuple(TrackState)
Row = dict[str, Any]
# Field of a slice by the key of its record. Keys that the record derives from them are left out.
_FIELD_BY_KEY = {
    "since": "first_run_id",
    "first": "first_name",
    "words": "description",
    "title": "title",
    "slice": "current_name",
    "last": "last_run_id",
    "error": "last_error",
    "excess": "last_excess",
    "closed": "closing_run_id",
    "state": "state",
    "reason": "reason",
    "closed_before": "earlier_closing_run_id",
    "change": "change",
}


@dataclass(frozen=True)
class TrackedSlice:
    """A slice that some run confirmed.

    Attributes:
        first_run_id: the run that confirmed it first.
        first_name: its name in that run.
        rule: its rule, frozen in that run.
        proposing_groups: hashed groups that the rule was proposed on. Their images say nothing
            about it.
        description: the slice in words.
        title: the same without counts.
        current_name: its name in this run; None if this run did not confirm it.
        last_run_id: the run that confirmed it last.
        last_error: error rate of the rule in that run.
        last_excess: excess error of the rule in that run.
        closing_run_id: the run that showed it to be gone; None if it is not, or is back.
        state: its state in this run.
        reason: why it has that state.
        earlier_closing_run_id: the run that had closed it, if this run confirmed it again.
        change: change of the share of all images that are misclassified in it, with its interval,
            since the previous assessable run.
        history: what every run measured (`CurrentRun.evaluate_rule`) and its state, oldest first.
    """

    first_run_id: str
    first_name: str
    rule: Rule
    proposing_groups: frozenset[str]
    description: str
    title: str = ""
    current_name: str | None = None
    last_run_id: str = ""
    last_error: float | None = None
    last_excess: float | None = None
    closing_run_id: str | None = None
    state: str = TrackState.NEW
    reason: str = TrackReason.FIRST_CONFIRMED
    earlier_closing_run_id: str | None = None
    change: Row | None = None
    history: tuple[Row, ...] = ()

    @property
    def current_point(self) -> Row:
        """Return what this run measured."""
        return self.history[-1]

    @property
    def previous_point(self) -> Row | None:
        """Return what the latest earlier run measured that could assess the slice, or None."""
        for point in reversed(self.history[:-1]):
            if point["obstacle"] is None:
                return point
        return None

    def build_record(self) -> Row:
        """Return the slice as JSON, without the proposing groups."""
        record = {key: getattr(self, name) for key, name in _FIELD_BY_KEY.items()}
        return record | {
            "rule": self.rule.format_text(),
            "frozen": self.rule.dump_json(),
            "now": self.current_point,
            "then": self.previous_point,
            "history": list(self.history),
        }

    @classmethod
    def parse_record(
        cls, record: Mapping[str, Any], proposing_groups: frozenset[str]
    ) -> TrackedSlice:
        """Return the slice that `build_record` wrote.

        Args:
            record: the slice as JSON.
            proposing_groups: hashed groups that its rule was proposed on.
        """
        values = {name: record[key] for key, name in _FIELD_BY_KEY.items()}
        return cls(
            **values,
            rule=Rule.parse_json(record["frozen"]),
            proposing_groups=proposing_groups,
            history=tuple(record["history"]),
        )


def dump_interval(interval: ConfidenceInterval) -> Row:
    """Return an interval as JSON: value, low, high."""
    return {name: sanitize_float(getattr(interval, name)) for name in ("value", "low", "high")}


def _load_burden(point: Row) -> ConfidenceInterval:
    return ConfidenceInterval(**point["burden"], groups=point["groups"], n=point["n"])


def _compute_change(current_point: Row, previous_point: Row | None) -> Row | None:
    if previous_point is None or current_point["obstacle"]:
        return None
    current, previous = _load_burden(current_point), _load_burden(previous_point)
    return dump_interval(estimate_difference(current, previous))


def _classify_change(change: Row | None) -> TrackState:
    """Return growing or shrinking; open if no change was shown."""
    if change is None or change["low"] <= 0 <= change["high"]:
        return TrackState.OPEN
    return TrackState.GROWING if change["low"] > 0 else TrackState.SHRINKING


def _classify_confirmed(track: TrackedSlice) -> tuple[TrackState, TrackReason]:
    if len(track.history) == 1:
        return TrackState.NEW, TrackReason.FIRST_CONFIRMED
    if track.closing_run_id:
        return TrackState.BACK, TrackReason.CONFIRMED_AFTER_CLOSING
    return _classify_change(track.change), TrackReason.CONFIRMED_AGAIN


def bound_excess_error(point: Row) -> float:
    """Return the largest excess error that a run's images allow.

    If none of them failed, groups have no spread and the interval of the excess is too short. The
    bound is then Wilson's bound of the error rate less the expected error rate.
    """
    error, excess = point["error"], point["excess"]
    if error["value"] > 0:
        return float(excess["high"])
    expected = error["value"] - excess["value"]
    return float(max(excess["high"], error["high"] - expected))


def is_slice_gone(track: TrackedSlice, closing_limit: float) -> bool:
    """Return whether this run shows the slice to be gone.

    Its error rate has fallen, has no excess, and the excess that remains possible is below the
    limit and below half of the last one. A slice is not closed because the rest became as bad.

    Args:
        track: the slice with this run's point.
        closing_limit: excess error below which a slice is gone.
    """
    point, last_excess = track.current_point, track.last_excess or 0.0
    margin = max(DEFAULT_TEST_LIMITS.min_effect, min(closing_limit, last_excess / 2))
    has_fallen = track.last_error is None or point["error"]["value"] < track.last_error
    has_excess = point["excess"]["low"] > 0
    return bool(has_fallen and not has_excess and bound_excess_error(point) < margin)


def _classify_unconfirmed(
    track: TrackedSlice, closing_limit: float
) -> tuple[TrackState, TrackReason]:
    point = track.current_point
    if point["obstacle"]:
        state = TrackState.CLOSED if track.closing_run_id else TrackState.NOT_ASSESSABLE
        return state, TrackReason.NOT_ASSESSABLE
    state = _classify_change(track.change)
    if point["excess"]["low"] > 0:
        return state, TrackReason.RULE_IN_EXCESS
    if is_slice_gone(track, closing_limit) or track.closing_run_id:
        return TrackState.CLOSED, TrackReason.NO_EXCESS
    if state == TrackState.SHRINKING:
        return state, TrackReason.SMALLER_NOT_GONE
    return TrackState.NOT_ASSESSABLE, TrackReason.UNDECIDED


def append_run(
    track: TrackedSlice, slice_name: str | None, point: Row, closing_limit: float
) -> TrackedSlice:
    """Return the slice with one more run.

    Args:
        track: the slice as the run before left it.
        slice_name: name of the slice that this run confirmed and that matches; None if there is
            none.
        point: what this run measured, see `CurrentRun.evaluate_rule`.
        closing_limit: excess error below which a slice is gone.
    """
    history = track.history
    max_runs = CONSTANTS.tracking.max_history_runs
    if len(history) >= max_runs:
        history = (history[0], *history[2 - max_runs :])
    track = replace(track, current_name=slice_name, history=(*history, point))
    track = replace(track, change=_compute_change(point, track.previous_point))
    if slice_name:
        state, reason = _classify_confirmed(track)
    else:
        state, reason = _classify_unconfirmed(track, closing_limit)
    history = (*history, {**point, "state": state})
    track = replace(track, state=state, reason=reason, earlier_closing_run_id=None, history=history)
    if slice_name:
        return replace(
            track,
            closing_run_id=None,
            earlier_closing_run_id=track.closing_run_id,
            last_run_id=point["run"],
            last_error=point["error"]["value"],
            last_excess=point["excess"]["value"],
        )
    if state == TrackState.CLOSED and not track.closing_run_id:
        return replace(track, closing_run_id=point["run"])
    return track
