"""The schema of `summary.json`: shares are in [0, 1], differences of shares in [-1, 1], null is unknown."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

SCHEMA_VERSION = 1


class ShareInterval(BaseModel):
    """A share with its interval by group."""

    value: float | None
    low: float | None
    high: float | None


class GainInterval(ShareInterval):
    """After less control, paired, over all seeds. bound: one-sided lower bound at the split's alpha."""

    bound: float | None
    within_noise: bool
    seeds: int


class ComparedSubset(BaseModel):
    """One comparison: all images, the planned slices together, or one slice."""

    what: str = Field(description="all | planned | others | slice")
    slice: str | None
    n: int
    groups: int
    before: ShareInterval | None
    control: ShareInterval | None
    after: ShareInterval | None
    gain: GainInterval | None
    generic: ShareInterval | None = Field(
        None, description="generic augmentation of the same budget; null where not trained"
    )
    over_generic: GainInterval | None = Field(None, description="after less generic, as gain")


class SplitMetrics(BaseModel):
    """What was measured on one split. macro_f1: by arm (before, control, after), of the first seed."""

    n: int
    groups: int
    alpha: float = Field(description="level of `gain`'s interval; on test, what this opening spent")
    accuracy: dict[str, ShareInterval | None] = Field(description="by arm: before, control, after")
    macro_f1: dict[str, float | None]
    ece: dict[str, float | None] = Field(
        {}, description="expected calibration error by arm, each at its temperature"
    )
    parts: list[ComparedSubset]


class StrengthResponse(BaseModel):
    """What each strength of the slice's cause or remedy does: shares right inside and outside the slice."""

    remedy: str
    strength: float
    inside: float | None
    outside: float | None


class SliceSummary(BaseModel):
    """A proposed slice as `explain` judged it, best first. image_ids: its images of validation."""

    slice: str
    status: str = Field(description="confirmed | not confirmed | not testable")
    rule: str = Field(description="the rule in force outside validation, in numbers")
    applied: str = Field(
        description="which rule admitted how many images on each half of validation"
    )
    words: str
    title: str = Field(description="what its images are, with when and where they were taken")
    cause: str | None
    common: str | None = Field(
        description="what its failing images share, where it is confirmed and has no cause"
    )
    confidence: str
    strength_low: float | None
    strength_high: float | None
    n: int
    groups: int
    failures: int
    error: float
    expected: float
    excess: ShareInterval
    q_value: float | None
    groups_needed: int | None
    remedy: str | None
    strength: float | None
    effect: ShareInterval
    error_before: float | None
    error_control: float | None
    error_after: float | None
    dose_response: list[StrengthResponse]
    image_ids: list[str]
    review: str = Field(
        description="what a reviewer of an earlier run decided: accepted | muted | empty"
    )


class PlannedRemedy(BaseModel):
    """One remedy in training: images that get it, the range of strengths, its probability a pass. simulator: whose drawn
    images are shown in their place (null: they are treated themselves)."""

    remedy: str
    simulator: str | None = None
    images: int
    strength_low: float
    strength_high: float
    probability: float


class RemedySummary(BaseModel):
    """What is done about a slice. correction: at prediction time, with its gain on validation (or null)."""

    slice: str
    kind: str = Field(description="augment | oversample | reweight | collect")
    action: str
    training: list[PlannedRemedy]
    correction: dict[str, Any] | None


class VerdictSummary(BaseModel):
    """outcome: how far the run came, in `compare`'s words; conditions: as `promote` judged them."""

    promoted: bool
    word: str
    headline: str
    outcome: str | None
    conditions: list[dict[str, Any]] = Field(
        description="name, value, threshold, passed, why, evidence"
    )
    limits: list[str] = Field(description="what the verdict does not show, in sentences")


class SealedTestOpening(BaseModel):
    """Of the sealed test set. number: the how many-th by any run (null: never opened by this one)."""

    opened: bool
    number: int | None
    alpha: float | None
    test_id: str | None


class PowerEstimate(BaseModel):
    """Groups at hand and groups that would decide."""

    test: str
    split: str
    n: int
    groups: int
    groups_needed: int | None
    enough: bool | None


class DataSummary(BaseModel):
    """Counts of the data set. fingerprint changes with any image, path or label."""

    fingerprint: str
    images: int
    classes: list[str]
    splits: dict[str, int]
    rejected: int
    duplicates: int
    leaks: int
    label_issues: int


class CalibrationSummary(BaseModel):
    """On validation, of the model before. ece: expected calibration error; bins: of the reliability diagram."""

    ece: float | None
    temperature: float | None
    bins: list[dict[str, float]]
    decline: dict[str, Any] = Field(
        description="the rule: threshold on confidence, light, target error, coverage"
    )


class ConfusionCell(BaseModel):
    """Images of validation of one true class and one answer, before and after; only cells that hold a image."""

    true: str
    predicted: str
    before: int
    after: int


class SliceObservation(BaseModel):
    """What one run saw of a slice that is followed, on the images of validation that its frozen rule admits, but for
    the groups that it was found on."""

    run: str
    state: str
    n: int
    groups: int
    failures: int
    share: float | None = Field(description="of all images, those that the rule admits")
    error: ShareInterval
    burden: ShareInterval = Field(
        description="of all images, those that the rule admits and that are misread"
    )
    excess: ShareInterval = Field(description="error over images of the same classes outside")
    reason: str = Field(description="why it cannot be judged; empty where it can")


class SliceTrend(BaseModel):
    """A slice over the runs of one name (`pipeline.slices.tracking.slice_history` says what each state means)."""

    slice: str | None = Field(
        description="its name among `slices` of this run; null where this run did not confirm it"
    )
    words: str
    title: str = Field("", description="what its images are, with when and where they were taken")
    state: str = Field(
        description="new | back | growing | open | shrinking | not assessable | closed"
    )
    why: str
    since: str = Field(description="the run that confirmed it first")
    first: str = Field(description="its name in that run")
    last: str = Field(description="the run that confirmed it last")
    closed: str | None = Field(
        description="the run that it was closed in; null where it is not, or is back"
    )
    rule: str = Field(description="the rule frozen in `since`, in numbers")
    frozen: str = Field(description="the same as JSON")
    now: SliceObservation
    then: SliceObservation | None = Field(
        description="of the latest run before that could judge it"
    )
    change: ShareInterval | None = Field(description="of burden since then")
    history: list[SliceObservation] = Field(
        description="run by run, oldest first; of a long one the middle is left out"
    )


class RunSummary(BaseModel):
    """The whole of `summary.json`."""

    version: int = Field(SCHEMA_VERSION, alias="schema")
    run_id: str
    seed: int
    verdict: VerdictSummary
    metrics: dict[str, SplitMetrics] = Field(
        description="by split: test (where it was opened), val"
    )
    slices: list[SliceSummary]
    remedies: list[RemedySummary]
    refused: list[dict[str, Any]] = Field(description="changes that would change a label, by class")
    shortcuts: list[dict[str, Any]] = Field(
        description="marks the model may lean on: the artifact `shortcuts`"
    )
    changes: dict[str, int] = Field(
        description="images of validation: fixed, broken, still wrong, still right"
    )
    confusion: list[ConfusionCell]
    classes: list[dict[str, Any]] = Field(
        description="name; before, after: precision, recall, f1, support"
    )
    calibration: CalibrationSummary
    opening: SealedTestOpening
    power: list[PowerEstimate]
    data: DataSummary
    drift: dict[str, Any] = Field(
        description="what arrived against the champion's data: the artifact `drift`"
    )
    followed: list[SliceTrend] = Field(
        [], description="slices over the runs of this name, those to look at first"
    )
    notes: list[dict[str, str]] = Field(description="what was odd: stage, text")
