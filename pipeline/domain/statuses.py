"""Statuses and kinds that stages hand to each other; artifacts and summaries hold their values."""

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
    """Treated good images fail in the same way, and the inverse transform repairs the slice."""
    CONSISTENT = "consistent with"
    """Treated good images look similar and fail in the same way; no inverse repairs the slice."""
    SUSPECTED = "suspected"
    """Treated good images look similar; there was no model to test."""
    UNNAMED = "unnamed"
    LEANS_ON_MARK = "leans on a mark"
    """The images lack the mark of their class, which the model relies on."""


class TrackState(StrEnum):
    """State of a slice over the runs of one name, in the order of the report."""

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
    """Classifiers that were not trained on the image's group predict another class."""
    CONFLICT = "conflict"
    """The same bytes have two labels."""
    REVIEWED = "reviewed"
    """A reviewer marked the label as wrong."""


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


class Decision(StrEnum):
    """Result for one image that arrived."""

    ANSWER = "answer"
    DECLINE = "decline"
    ERROR = "error"
    """The image could not be read."""


class DecisionReason(StrEnum):
    """Why an image got no answer."""

    NONE = ""
    """It got one."""
    LOW_CONFIDENCE = "low confidence"
    LOW_LIGHT = "low light"
    NO_THRESHOLD = "no threshold"
    """No confidence keeps the error within the target, so that every image is declined."""
    UNREADABLE = "unreadable"
