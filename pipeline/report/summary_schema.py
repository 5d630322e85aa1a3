"""The schema of `summary.json`.

Shares are in [0, 1], differences of shares in [-1, 1]; null is unknown.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from pipeline.domain.statuses import SeedOutcome
from pipeline.report.slice_schema import ShareInterval, SliceSummary, SliceTrend

SCHEMA_VERSION = 2


class GainInterval(ShareInterval):
    """The targeted arm less the control arm, paired by image, over all seeds.

    Attributes:
        bound: one-sided lower bound at the split's alpha.
        within_noise: whether the interval holds zero.
        seeds: number of seeds.
    """

    bound: float | None
    within_noise: bool
    seeds: int


class ComparedSubset(BaseModel):
    """The arms compared on one subset of a split."""

    what: str = Field(description="all | planned | others | slice")
    slice: str | None
    n: int
    groups: int
    before: ShareInterval | None
    control: ShareInterval | None
    after: ShareInterval | None
    gain: GainInterval | None
    generic: ShareInterval | None = Field(
        None, description="generic augmentation with the same budget; null if it was not trained"
    )
    over_generic: GainInterval | None = Field(
        None, description="the targeted arm less the generic arm, as `gain`"
    )


class PartChange(BaseModel):
    """How many of a thousand images of a part are right, before and after.

    Attributes:
        reference: the model before: that in force if it could be compared, else the baseline.
    """

    split: str = Field(description="test (if it was opened), else val")
    reference: str
    kind: str = Field(description="class | slice | slice class | others")
    slice: str | None
    class_name: str | None = Field(alias="class")
    n: int
    groups: int
    before: int
    after: int
    loss_probability: float = Field(description="probability of a loss beyond the margin")
    status: str = Field(description="harmed | not worse | uncertain")


class SplitMetrics(BaseModel):
    """Metrics of the arms on one split.

    Attributes:
        macro_f1: by arm (before, control, after), of its primary model.
    """

    n: int
    groups: int
    alpha: float = Field(
        description="level of the interval of `gain`; on test, the alpha of this opening"
    )
    accuracy: dict[str, ShareInterval | None] = Field(description="by arm: before, control, after")
    macro_f1: dict[str, float | None]
    ece: dict[str, float | None] = Field(
        {}, description="expected calibration error by arm, each at its own temperature"
    )
    parts: list[ComparedSubset]


class PlannedRemedy(BaseModel):
    """One remedy in training.

    Attributes:
        simulator: the simulator whose drawn images replace the training images; null if these are
            treated themselves.
        images: number of training images.
        probability: probability of the remedy at each pass of an image.
        tone_share: share of these passes with the brightness and colors of a real image of the
            slice in place of the remedy.
    """

    remedy: str
    simulator: str | None = None
    images: int
    strength_low: float
    strength_high: float
    probability: float
    tone_share: float = 0.0


class RemedySummary(BaseModel):
    """The remedy of a slice.

    Attributes:
        correction: the correction at prediction time, with its gain on validation, or null.
    """

    slice: str
    kind: str = Field(description="augment | oversample | reweight | collect")
    action: str
    training: list[PlannedRemedy]
    correction: dict[str, Any] | None


class VerdictSummary(BaseModel):
    """The verdict of the gate.

    Attributes:
        word: the verdict in one to three words.
        outcome: how far the comparison came (`ComparisonOutcome`).
    """

    promoted: bool
    word: str
    headline: str
    plain: str = Field("", description="the verdict in one sentence without terms of statistics")
    outcome: str | None
    champion: dict[str, Any] = Field(
        description="the model in force: status (`ChampionStatus`) and run_id"
    )
    conditions: list[dict[str, Any]] = Field(
        description="id, name, value, threshold, passed, why, evidence"
    )
    data_faults: list[str] = Field(
        [], description="faults of the data that make the figures untrue, in sentences"
    )
    limits: list[str] = Field(description="what the verdict does not show, in sentences")


class SealedTestOpening(BaseModel):
    """The opening of the sealed test set.

    Attributes:
        number: 1 for the first opening by any run; null if this run did not open it.
    """

    opened: bool
    number: int | None
    alpha: float | None
    test_id: str | None


class PowerEstimate(BaseModel):
    """The groups there are for a test, and the groups that would decide it."""

    test: str
    split: str
    n: int
    groups: int
    groups_needed: int | None
    enough: bool | None


class ReachEstimate(BaseModel):
    """What the sealed test holds of a planned slice or a kind of image, before it is opened."""

    what: str = Field(description="slice, label, a metadata column, or time of day")
    value: str
    images: int
    groups: int
    detectable: float | None = Field(
        description="smallest gain that so many groups show with 80 % power; null if none"
    )


class DataSummary(BaseModel):
    """Counts of the data set.

    Attributes:
        fingerprint: changes with any image, path or label.
    """

    fingerprint: str
    images: int
    classes: list[str]
    splits: dict[str, int]
    rejected: int
    duplicates: int
    leaks: int
    label_issues: int


class CalibrationSummary(BaseModel):
    """Calibration of the baseline on validation.

    Attributes:
        ece: expected calibration error.
        bins: of the reliability diagram.
    """

    ece: float | None
    temperature: float | None
    bins: list[dict[str, float]]
    decline: dict[str, Any] = Field(
        description="the rule: threshold on confidence, light, target error, coverage"
    )


class ConfusionCell(BaseModel):
    """Number of validation images of one label and prediction, before and after; none is empty."""

    true: str
    predicted: str
    before: int
    after: int


class SeedStages(BaseModel):
    """How far the training of the arms went, and what it cost."""

    outcome: SeedOutcome = Field(
        description="complete, or futile: hardly any chance was left that validation would pass"
    )
    trained: int
    planned: int
    conditional_power: float | None = Field(
        description="chance after the first seeds, at most, that validation would pass; null if "
        "there were no further ones"
    )
    passes: int = Field(description="image passes of all arms")
    base_passes: int = Field(description="image passes of the training of the model before")


class RunSummary(BaseModel):
    """The whole of `summary.json`."""

    version: int = Field(SCHEMA_VERSION, alias="schema")
    run_id: str
    seed: int
    verdict: VerdictSummary
    metrics: dict[str, SplitMetrics] = Field(description="by split: test (if it was opened), val")
    by_part: list[PartChange] = Field(
        description="for whom it got better and for whom worse, in images of a thousand"
    )
    slices: list[SliceSummary]
    remedies: list[RemedySummary]
    ladder: list[dict[str, Any]] = Field(
        [],
        description="steps of the remedy on validation: step, name, share; gain over the model "
        "before and what the step added, in the planned slices and outside",
    )
    seeds: SeedStages | None = Field(
        None, description="how many seeds of the arms were trained; null without arms"
    )
    real_images: list[dict[str, int]] = Field(
        [], description="validation images of planned slices that were trained on, by half"
    )
    refused: list[dict[str, Any]] = Field(
        description="transforms that may change the label, by class"
    )
    look_alikes: dict[str, Any] | None = Field(
        None,
        description="unlabeled images that look like the failures of a slice: folder, numbers of "
        "images, known and rejected ones, listed by slice; null without prescribe.unlabeled",
    )
    shortcuts: list[dict[str, Any]] = Field(
        description="marks on which the model may rely: the artifact `shortcuts`"
    )
    class_slices: list[dict[str, Any]] = Field(
        [], description="whole classes that fail more often than the others: the artifact"
    )
    changes: dict[str, int] = Field(
        description="number of validation images: fixed, broken, still wrong, still right"
    )
    confusion: list[ConfusionCell]
    classes: list[dict[str, Any]] = Field(
        description="name; before and after: precision, recall, f1, support"
    )
    calibration: CalibrationSummary
    opening: SealedTestOpening
    power: list[PowerEstimate]
    test_reach: list[ReachEstimate] = Field(
        [], description="what the sealed test can show, foreseen without any model"
    )
    data: DataSummary
    drift: dict[str, Any] = Field(
        description="newly arrived images against the champion's data: `drift`, in words"
    )
    followed: list[SliceTrend] = Field(
        [], description="slices over the runs of this name, the most urgent first"
    )
    notes: list[dict[str, str]] = Field(description="unusual events: stage, text")
