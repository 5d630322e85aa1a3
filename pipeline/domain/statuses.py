"""Statuses and kinds that stages hand to each other. Their values are what artifacts and summaries hold."""

from __future__ import annotations

from enum import StrEnum


class SliceStatus(StrEnum):
    """Outcome of the tests of a candidate slice."""

    CONFIRMED = "confirmed"
    NOT_CONFIRMED = "not confirmed"
    NOT_TESTABLE = "not testable"


class CauseConfidence(StrEnum):
    """What supports the cause of a slice."""

    INVERSE_CONFIRMED = "proved by intervention"
    """Treated good images fail alike, and the inverse transform repairs the slice."""
    CONSISTENT = "consistent with"
    """Treated good images look and fail alike; that the inverse transform repairs the slice was not shown."""
    SUSPECTED = "suspected"
    """Treated good images look alike; there was no model to test."""
    UNNAMED = "unnamed"
    LEANS_ON_MARK = "leans on a mark"
    """The images lack the mark of their class, on which the model leans."""


class TrackState(StrEnum):
    """State of a slice over the runs of one name, in the order in which they are reported."""

    NEW = "new"
    BACK = "back"
    GROWING = "growing"
    OPEN = "open"
    SHRINKING = "shrinking"
    NOT_ASSESSABLE = "not assessable"
    CLOSED = "closed"


class LabelIssueKind(StrEnum):
    """Why a label is in doubt."""

    SUSPECTED = "suspected"
    """Classifiers that never saw the image's group hold another class to be likely."""
    CONFLICT = "conflict"
    """The same bytes have two labels."""
    REVIEWED = "reviewed"
    """A reviewer held the label to be wrong."""


class ComparisonOutcome(StrEnum):
    """How far the comparison of the candidates came."""

    NO_FAILURES = "no failures"
    NO_SLICE = "no slice"
    NO_PLAN = "no plan"
    NO_CANDIDATES = "no candidates"
    NO_TEST = "no test"
    REFUSED_ON_VAL = "refused on val"
    USED_UP = "used up"
    TESTED = "tested"
