"""Statuses and kinds that stages hand to each other; artifacts and summaries hold their values."""

from __future__ import annotations

from enum import StrEnum


class ExclusionKind(StrEnum):
    """Why an image is in no split."""

    UNKNOWN_PLACE = "unknown place"
    """Its time or site, by which the images are split, is unknown."""
    SAME_IMAGE = "same image"
    """Its bytes are in a split that comes first."""
    SAME_GROUP = "same group"
    TIED_GROUP = "tied group"
    """A near-duplicate of its group is in a split that comes first."""
    CONDITION_NOT_MET = "condition not met"


class SliceStatus(StrEnum):
    """Outcome of the tests of a candidate slice."""

    CONFIRMED = "confirmed"
    NOT_CONFIRMED = "not confirmed"
    NOT_TESTABLE = "not testable"


class ClassSliceKind(StrEnum):
    """What kind of whole classes fail more often than the others."""

    CLASS = "class"
    LONG_TAIL = "long tail"
    """The classes with few training images, together."""


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


class CauseRefusal(StrEnum):
    """Why a possible cause of a slice cannot be named."""

    NOT_REPRODUCED = "not reproduced"
    """Treated good images stay correct."""
    REPAIRS_TOO_FEW = "repairs too few"
    """The inverse repairs too few failures for the cause to have made most of them."""
    OTHER_CONFUSIONS = "other confusions"
    """Treated good images fail in another way."""
    NOT_NEARER = "not nearer"
    """Treated good images are no nearer to the slice than untreated ones."""
    MAJORITY_NOT_SHOWN = "majority not shown"
    """Nothing shows that the cause made most failures."""


class TrackState(StrEnum):
    """State of a slice over the runs of one name, in the order of the report."""

    NEW = "new"
    BACK = "back"
    GROWING = "growing"
    OPEN = "open"
    SHRINKING = "shrinking"
    NOT_ASSESSABLE = "not assessable"
    CLOSED = "closed"


class TrackReason(StrEnum):
    """Why a slice has its state."""

    FIRST_CONFIRMED = "first confirmed"
    CONFIRMED_AGAIN = "confirmed again"
    CONFIRMED_AFTER_CLOSING = "confirmed after closing"
    RULE_IN_EXCESS = "rule in excess"
    """It was not confirmed, but its rule has excess error."""
    NO_EXCESS = "no excess"
    SMALLER_NOT_GONE = "smaller, not gone"
    UNDECIDED = "undecided"
    """Neither an excess nor its absence was shown."""
    NOT_ASSESSABLE = "not assessable"
    """The run's images cannot tell; the observation holds the obstacle."""


class AssessmentObstacle(StrEnum):
    """Why a run cannot assess a slice of an earlier run."""

    MISSING_CLASS = "missing class"
    MISSING_COLUMN = "missing column"
    COLUMN_NOT_NUMERIC = "column not numeric"
    MISSING_IMAGE = "missing image"
    """The data lack an image to which the rule measures distances."""
    SEALED_IMAGE = "sealed image"
    UNTESTABLE = "untestable"


class FollowObstacle(StrEnum):
    """Why no earlier slices are followed."""

    NO_EARLIER_RUN = "no earlier run"
    UNREADABLE_RUN = "unreadable run"


class DriftObstacle(StrEnum):
    """Why no arrived image is compared with the champion's data."""

    NO_CHAMPION = "no champion"
    """No champion with data of its own was in force."""
    NO_NEW_IMAGE = "no new image"


class UnitBasis(StrEnum):
    """What counts as one independent observation among arriving images."""

    GROUPS = "groups"
    STRETCHES = "stretches"
    """The images of a stretch of time."""
    GROUPS_AND_STRETCHES = "groups and stretches"
    IMAGES = "images"
    """Some or all images have neither group nor time."""


class NovelSide(StrEnum):
    """The side on which a value is outside the range of all known ones."""

    BELOW = "below"
    ABOVE = "above"
    APART = "apart"
    """Far from every known value on a circle."""


class LabelIssueKind(StrEnum):
    """Why a label is in doubt."""

    SUSPECTED = "suspected"
    """Classifiers that were not trained on the image's group predict another class."""
    CONFLICT = "conflict"
    """The same bytes have two labels."""
    REVIEWED = "reviewed"
    """A reviewer marked the label as wrong."""
    UNREADABLE = "unreadable"
    """A reviewer could not judge the label: the image shows too little."""


class ModelOrigin(StrEnum):
    """Where the model of the stage `train` comes from."""

    TRAINED = "trained"
    CHAMPION = "champion"
    USER_FILE = "user file"


class PrescriptionKind(StrEnum):
    """The change of the training images for a slice."""

    AUGMENT = "augment"
    """Images outside the slice are treated, or simulated ones take their place."""
    OVERSAMPLE = "oversample"
    REWEIGHT = "reweight"
    COLLECT = "collect"
    """Nothing is trained: more images are requested."""


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


class LadderStep(StrEnum):
    """The additions to the targeted arm, step by step."""

    TREATMENT = "treatment"
    """The planned remedies alone."""
    REAL_IMAGES = "real images"
    """Validation images of the planned slices were trained on as well."""
    AVERAGE = "average"
    """The weights of all seeds were averaged."""
    INTERPOLATION = "interpolation"
    """The weights were interpolated with those of the model before."""


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
    ARRIVALS_GAIN = "arrivals gain"
    """Groups that arrived since show a gain over the model in force inside the planned slices."""
    ARRIVALS_NOT_WORSE = "arrivals not worse"
    """They exclude a loss overall beyond the margin."""
    ARRIVALS_NO_HARM = "arrivals no harm"
    """No class, in all images or inside the planned slices, probably loses among them."""


class VerdictCaveat(StrEnum):
    """A caveat: what a verdict does not show."""

    SINGLE_SEED = "single seed"
    TOO_FEW_GROUPS = "too few groups"
    NO_GENERIC_ARM = "no generic arm"
    GENERIC_NOT_BEATEN = "generic not beaten"
    WEIGHTED_ERRORS = "weighted errors"
    UNJUDGED_CHAMPION = "unjudged champion"
    """The model in force could not be compared, and the config accepts that."""


class SeedOutcome(StrEnum):
    """Whether all seeds of the arms were trained."""

    COMPLETE = "complete"
    FUTILE = "futile"
    """The first seeds left hardly any chance that validation would pass."""
