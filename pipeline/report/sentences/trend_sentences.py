"""The sentences about slices that are followed over the runs of one name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.domain.statuses import AssessmentObstacle, TrackReason
from pipeline.report.sentences.untestable_sentences import describe_untestable

Row = Mapping[str, Any]


def describe_trend(record: Row) -> str:
    """Return why a slice has its state.

    Args:
        record: a slice of the artifact `followed`.
    """
    match TrackReason(record["reason"]):
        case TrackReason.FIRST_CONFIRMED:
            return "first confirmed in this run"
        case TrackReason.CONFIRMED_AFTER_CLOSING:
            return f"closed in run {record['closed_before']}, and confirmed again"
        case TrackReason.CONFIRMED_AGAIN:
            return f"confirmed again{_describe_change(record)}"
        case TrackReason.RULE_IN_EXCESS:
            return (
                f"not confirmed in this run, but its rule still shows it: "
                f"{_describe_excess(record)}{_describe_change(record)}"
            )
        case TrackReason.NO_EXCESS:
            return f"no longer in excess: {_describe_excess(record)}"
        case TrackReason.SMALLER_NOT_GONE:
            return (
                f"not confirmed in this run, and not shown to be gone: "
                f"{_describe_excess(record)}{_describe_change(record)}"
            )
        case TrackReason.UNDECIDED:
            return f"neither shown to be there nor to be gone: {_describe_excess(record)}"
        case TrackReason.NOT_ASSESSABLE:
            return describe_obstacle(record["now"]["obstacle"])


def describe_obstacle(obstacle: Row | None) -> str:
    """Return why a run could not assess a slice; empty if it could.

    Args:
        obstacle: kind, name and reason, see `CurrentRun.evaluate_rule`.
    """
    if obstacle is None:
        return ""
    name = obstacle["name"]
    image = f"image {name}, to which its rule measures distances,"
    match AssessmentObstacle(obstacle["kind"]):
        case AssessmentObstacle.MISSING_CLASS:
            return f"the data no longer has the class {name} of its rule"
        case AssessmentObstacle.MISSING_COLUMN:
            return f"the data no longer has the column {name} of its rule"
        case AssessmentObstacle.COLUMN_NOT_NUMERIC:
            return f"the column {name} of its rule is no longer a number"
        case AssessmentObstacle.MISSING_IMAGE:
            return f"{image} is no longer in the data"
        case AssessmentObstacle.SEALED_IMAGE:
            return f"{image} is now in the sealed test set"
        case AssessmentObstacle.UNTESTABLE:
            return f"too few images to assess it: {describe_untestable(obstacle['reason'])}"


def add_trend_texts(record: Row) -> dict[str, Any]:
    """Return a followed slice with `why`, and each of its observations with `reason`, in words.

    Args:
        record: a slice of the artifact `followed`.
    """
    then = record["then"]
    return {
        **record,
        "why": describe_trend(record),
        "now": _add_reason(record["now"]),
        "then": None if then is None else _add_reason(then),
        "history": list(map(_add_reason, record["history"])),
    }


def _add_reason(point: Row) -> dict[str, Any]:
    return {**point, "reason": describe_obstacle(point["obstacle"])}


def _format_points(interval: Row) -> str:
    """Return an interval of shares as text, in percentage points."""
    value, low, high = (100 * interval[end] for end in ("value", "low", "high"))
    return f"{value:+.1f} points, {low:+.1f} to {high:+.1f}"


def _describe_excess(record: Row) -> str:
    return f"excess error {_format_points(record['now']['excess'])}"


def _describe_change(record: Row) -> str:
    """Return the change since the run before; empty if none can be told."""
    change, then = record["change"], record["then"]
    if change is None or then is None:
        return ""
    if change["low"] <= 0 <= change["high"]:
        return f"; no change was shown since run {then['run']}"
    comparative = "more" if change["low"] > 0 else "fewer"
    return (
        f"; {comparative} of all images are in it and misclassified than in run {then['run']} "
        f"({_format_points(change)})"
    )
