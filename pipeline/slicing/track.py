"""One slice over the runs: what each of them saw of its frozen rule, and what follows from that.

new: confirmed for the first time. open: confirmed again, or its rule still shows excess error. growing, shrinking:
open, and more or fewer of all photos are in it and misread than in the run before, beyond chance. closed: shown to be
gone. back: closed before, and confirmed again. not assessable: none of these could be shown, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.evidence.intervals import Interval, difference, finite
from pipeline.evidence.permutation import LIMITS
from pipeline.slicing.rules import Rule

STATES = ("new", "back", "growing", "open", "shrinking", "not assessable", "closed")
POINTS = 60  # runs that a history goes back; the first one stays
Row = dict[str, Any]
_DERIVED = ("rule", "frozen", "now", "then", "history")


@dataclass(frozen=True)
class Track:
    """A slice that some run confirmed. since, first: the run that did so first, and its name there; rule: frozen then;
    seen: hashed names of the groups on which it was proposed, whose photos say nothing about it.

    slice: its name in this run, None where this one did not confirm it. last, error, excess: the run that confirmed it
    last, and what its rule showed there. closed: the run that showed it to be gone, None where it is not, or is back.
    change: of the share of all photos that are in it and misread, with its interval, since `then`. history: what every
    run saw (`following.Today.look`, and `run` and `state`), oldest first.
    """

    since: str
    first: str
    rule: Rule
    seen: frozenset[str]
    words: str
    slice: str | None = None
    last: str = ""
    error: float | None = None
    excess: float | None = None
    closed: str | None = None
    state: str = "new"
    why: str = ""
    change: Row | None = None
    history: tuple[Row, ...] = ()

    @property
    def now(self) -> Row:
        """What this run saw."""
        return self.history[-1]

    @property
    def then(self) -> Row | None:
        """What the latest run before this one saw that could judge it, or None."""
        return next((point for point in reversed(self.history[:-1]) if not point["reason"]), None)

    def record(self) -> Row:
        """As JSON, `seen` left out."""
        kept = {name: value for name, value in vars(self).items() if name not in ("seen", *_DERIVED)}
        rule = {"rule": self.rule.words(), "frozen": self.rule.dump()}
        return {**kept, **rule, "now": self.now, "then": self.then, "history": list(self.history)}

    @classmethod
    def parse(cls, record: Mapping[str, Any], seen: frozenset[str]) -> Track:
        """What `record` wrote."""
        kept = {name: value for name, value in record.items() if name not in _DERIVED}
        return cls(**kept, rule=Rule.parse(record["frozen"]), seen=seen, history=tuple(record["history"]))


def ends(interval: Interval) -> Row:
    """An interval as JSON: value, low, high."""
    return {name: finite(getattr(interval, name)) for name in ("value", "low", "high")}


def _change(now: Row, then: Row | None) -> Row | None:
    if then is None or now["reason"]:
        return None
    sides = [Interval(**point["burden"], groups=point["groups"], n=point["n"]) for point in (now, then)]
    return ends(difference(*sides))


def _between(change: Row) -> str:
    low, high = (f"{100 * change[end]:+.1f}" for end in ("low", "high"))
    return f"{100 * change['value']:+.1f} points, {low} to {high}"


def _moved(track: Track) -> tuple[str, str]:
    """growing or shrinking, and why; open where no change was shown."""
    change, then = track.change, track.then
    if change is None or then is None:
        return "open", ""
    if change["low"] <= 0 <= change["high"]:
        return "open", f"; no change was shown since run {then['run']}"
    state, more = ("growing", "more") if change["low"] > 0 else ("shrinking", "fewer")
    return state, f"; {more} of all photos are in it and misread than in run {then['run']} ({_between(change)})"


def _confirmed(track: Track) -> tuple[str, str]:
    if len(track.history) == 1:
        return "new", "first confirmed in this run"
    if track.closed:
        return "back", f"closed in run {track.closed}, and confirmed again"
    state, why = _moved(track)
    return state, f"confirmed again{why}"


def at_most(now: Row) -> float:
    """The largest excess error that a run's photos allow. Where none of them failed, groups that differ in nothing
    have no spread: then it is Wilson's bound on the error less what is expected."""
    error, excess = now["error"], now["excess"]
    if error["value"] > 0:
        return float(excess["high"])
    return float(max(excess["high"], error["high"] - (error["value"] - excess["value"])))


def gone(track: Track, limit: float) -> bool:
    """Whether this run shows the slice to be gone: its error fell, is not in excess, and exceeds that of its classes by
    less than `limit` and less than half of what it did. What became as bad everywhere closes nothing."""
    now, excess = track.now, track.excess or 0.0
    margin = max(LIMITS.smallest, min(limit, excess / 2))
    fell = track.error is None or now["error"]["value"] < track.error
    return bool(fell and now["excess"]["low"] <= 0 and at_most(now) < margin)


def _unconfirmed(track: Track, limit: float) -> tuple[str, str]:
    now = track.now
    if now["reason"]:
        return ("closed" if track.closed else "not assessable"), str(now["reason"])
    state, why = _moved(track)
    told = f"excess error {_between(now['excess'])}"
    if now["excess"]["low"] > 0:
        return state, f"not confirmed in this run, but its rule still shows it: {told}{why}"
    if gone(track, limit) or track.closed:
        return "closed", f"no longer in excess: {told}"
    if state == "shrinking":
        return state, f"not confirmed in this run, and not shown to be gone: {told}{why}"
    return "not assessable", f"neither shown to be there nor to be gone: {told}"


def moved_on(track: Track, name: str | None, words: str, point: Row, limit: float) -> Track:
    """The track one run later. name, words: those of the slice that this run confirmed and that is the same, None and
    "" where there is none; point: what the run saw, with its `run`; limit: see `gone`."""
    kept = track.history if len(track.history) < POINTS else (track.history[0], *track.history[2 - POINTS :])
    track = replace(track, slice=name, words=words or track.words, history=(*kept, point))
    track = replace(track, change=_change(point, track.then))
    state, why = _confirmed(track) if name else _unconfirmed(track, limit)
    history = (*kept, {**point, "state": state})
    if name:
        last = {"last": point["run"], "error": point["error"]["value"], "excess": point["excess"]["value"]}
        return replace(track, state=state, why=why, closed=None, history=history, **last)
    closed = track.closed or (point["run"] if state == "closed" else None)
    return replace(track, state=state, why=why, closed=closed, history=history)
