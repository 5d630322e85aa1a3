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
    PROMISING_ON_VAL = "promising on val"
    """Validation passed, but the test set holds too few groups to decide and stays sealed."""
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


class OpeningReason(StrEnum):
    """Why the sealed test set was opened, or why it stays sealed."""

    NO_FAILURES = "no failures"
    NO_SLICE = "no slice"
    NO_PLAN = "no plan"
    NO_CANDIDATES = "no candidates"
    NO_TEST = "no test"
    NO_GAIN_ON_VAL = "no gain on val"
    """No planned slice gained over the control and over the model in force."""
    HARM_ON_VAL = "harm on val"
    """A planned slice gained, but the targeted arm may be worse overall or for some images."""
    CANNOT_DECIDE = "cannot decide"
    """Validation passed, but the test set holds too few groups of the planned slices."""
    USED_UP = "used up"
    VAL_PASSED = "val passed"
    OPENED_BEFORE = "opened before"
    """This run opened it before, for the same models."""


class PowerQuestion(StrEnum):
    """Question that a test of the comparison answers."""

    OVERALL_NOT_WORSE = "overall not worse"
    PLANNED_GAIN = "planned gain"
    """Whether the planned slices together gain."""
    SLICE_GAIN = "slice gain"


class ChampionStatus(StrEnum):
    """Whether the model in force could be compared."""

    NONE = "none"
    """No champion is in force: the candidate would replace the baseline."""
    IS_BASELINE = "is baseline"
    """The run took the champion as its baseline."""
    COMPARED = "compared"
    OTHER_CLASSES = "other classes"
    OTHER_SIZE = "other size"
    """It reads larger images than this run keeps."""
    MISSING = "missing"
    """Its folder is gone or cannot be read."""
    REPLACED = "replaced"
    """Another run was promoted after this run began, and was not compared."""


class GateCondition(StrEnum):
    """Condition of the gate."""

    PLANNED_SLICE = "planned slice"
    """A confirmed slice has a remedy for training."""
    CHAMPION_COMPARED = "champion compared"
    """The model in force was compared on the same images."""
    SLICE_GAIN = "slice gain"
    """The best planned slice gains over the control."""
    PLANNED_GAIN = "planned gain"
    """The planned slices together gain over the control."""
    GAIN_IN_FORCE = "gain in force"
    """They gain over the model in force."""
    GENERIC_NOT_BETTER = "generic not better"
    """Generic augmentation of the same budget was not shown to be better."""
    OVERALL_NOT_WORSE = "overall not worse"
    NO_CLASS_WORSE = "no class worse"
    NO_SLICE_WORSE = "no slice worse"
    """No slice, and no class within a slice, probably loses more than the margin."""
    NO_HARM_OUTSIDE = "no harm outside"
    """The images outside the planned slices do not probably lose more than the margin."""
    TEST_OPENED = "test opened"


class GateLimit(StrEnum):
    """What a verdict does not show."""

    SINGLE_SEED = "single seed"
    TOO_FEW_GROUPS = "too few groups"
    NO_GENERIC_ARM = "no generic arm"
    GENERIC_NOT_BEATEN = "generic not beaten"
    WEIGHTED_ERRORS = "weighted errors"
    UNJUDGED_CHAMPION = "unjudged champion"
    """The model in force could not be compared, and the config accepts that."""
