"""The slices in the schema of `summary.json`: tests in this run, and trends over runs."""

from __future__ import annotations

from pydantic import BaseModel, Field


class ShareInterval(BaseModel):
    """A share with its 95 % confidence interval by group."""

    value: float | None
    low: float | None
    high: float | None


class StrengthResponse(BaseModel):
    """Accuracy at one strength of the slice's cause or remedy, inside and outside the slice."""

    remedy: str
    strength: float
    inside: float | None
    outside: float | None


class SliceSummary(BaseModel):
    """A proposed slice with its tests, the best first.

    Attributes:
        image_ids: its images of validation.
    """

    slice: str
    status: str = Field(description="confirmed | not confirmed | not testable")
    rule: str = Field(description="the rule that applies outside validation, in numbers")
    applied: str = Field(
        description="the rule of each half of validation, and how many images it admitted"
    )
    words: str
    title: str = Field(
        description="common traits of its images, and when and where they were taken"
    )
    cause: str | None
    common: str | None = Field(
        description="common traits of its failing images, if it is confirmed and has no cause"
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
        description="decision of a reviewer of an earlier run: accepted | muted | empty"
    )


class SliceObservation(BaseModel):
    """One run's figures of a followed slice.

    They are counted on the validation images that its frozen rule admits, without the groups on
    which it was proposed.
    """

    run: str
    state: str
    n: int
    groups: int
    failures: int
    share: float | None = Field(description="share of all images that the rule admits")
    error: ShareInterval
    burden: ShareInterval = Field(
        description="share of all images that the rule admits and the model misclassifies"
    )
    excess: ShareInterval = Field(
        description="error rate less that of images of the same classes outside"
    )
    reason: str = Field(description="why it cannot be judged; empty if it can")


class SliceTrend(BaseModel):
    """A slice over the runs of one name.

    `pipeline.slices.tracking.slice_history` defines the states.
    """

    slice: str | None = Field(
        description="its name among `slices` of this run; null if this run did not confirm it"
    )
    words: str
    title: str = Field(
        "", description="common traits of its images, and when and where they were taken"
    )
    state: str = Field(
        description="new | back | growing | open | shrinking | not assessable | closed"
    )
    why: str
    since: str = Field(description="the run that first confirmed it")
    first: str = Field(description="its name in that run")
    last: str = Field(description="the run that last confirmed it")
    closed: str | None = Field(
        description="the run that closed it; null if it is not closed, or is back"
    )
    rule: str = Field(description="the rule frozen in `since`, in numbers")
    frozen: str = Field(description="the same rule as JSON")
    now: SliceObservation
    then: SliceObservation | None = Field(
        description="of the latest earlier run that could judge it"
    )
    change: ShareInterval | None = Field(description="change of `burden` since `then`")
    history: list[SliceObservation] = Field(
        description="run by run, oldest first; the middle of a long one is left out"
    )
