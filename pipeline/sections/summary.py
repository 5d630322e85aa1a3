"""`summary`: the run's result for machines, under a schema with a version. It holds no wall-clock time.

`Summary.model_json_schema()` is the schema; shares are in [0, 1], differences of shares in [-1, 1], null is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from pipeline.evidence.scores import by_class
from pipeline.sections import Page, plain
from pipeline.sections import results as r
from pipeline.sections import slice_view as view
from pipeline.sections.identity import fingerprint

VERSION = 1
_ARMS = (("before", "before"), ("control", "control"), ("after", "targeted"))


class Share(BaseModel):
    """A share with its interval by group."""

    value: float | None
    low: float | None
    high: float | None


class Gain(Share):
    """After less control, paired, over all seeds. bound: one-sided lower bound at the split's alpha."""

    bound: float | None
    within_noise: bool
    seeds: int


class Part(BaseModel):
    """One comparison: all photos, the planned slices together, or one slice."""

    what: str = Field(description="all | planned | others | slice")
    slice: str | None
    n: int
    groups: int
    before: Share | None
    control: Share | None
    after: Share | None
    gain: Gain | None


class Split(BaseModel):
    """What was measured on one split. macro_f1: by arm (before, control, after), of the first seed."""

    n: int
    groups: int
    alpha: float = Field(description="level of `gain`'s interval; on test, what this opening spent")
    accuracy: dict[str, Share | None] = Field(description="by arm: before, control, after")
    macro_f1: dict[str, float | None]
    parts: list[Part]


class Dose(BaseModel):
    """What each dose of the slice's cause or remedy does: shares right inside and outside the slice."""

    remedy: str
    dose: float
    inside: float | None
    outside: float | None


class Slice(BaseModel):
    """A proposed slice as `explain` judged it, best first. image_ids: its photos of validation."""

    slice: str
    status: str = Field(description="confirmed | not confirmed | not testable")
    rule: str
    words: str
    cause: str | None
    confidence: str
    dose_low: float | None
    dose_high: float | None
    n: int
    groups: int
    failures: int
    error: float
    expected: float
    excess: Share
    q_value: float | None
    groups_needed: int | None
    remedy: str | None
    dose: float | None
    effect: Share
    error_before: float | None
    error_control: float | None
    error_after: float | None
    dose_response: list[Dose]
    image_ids: list[str]
    review: str = Field(description="what a reviewer of an earlier run decided: accepted | muted | empty")


class Planned(BaseModel):
    """One remedy in training: photos that get it, the range of doses, its probability a pass."""

    remedy: str
    photos: int
    dose_low: float
    dose_high: float
    probability: float


class Remedy(BaseModel):
    """What is done about a slice. correction: at prediction time, with its gain on validation (or null)."""

    slice: str
    kind: str = Field(description="augment | collect")
    action: str
    training: list[Planned]
    correction: dict[str, Any] | None


class Verdict(BaseModel):
    """outcome: how far the run came, in `compare`'s words; conditions: as `promote` judged them."""

    promoted: bool
    word: str
    headline: str
    outcome: str | None
    conditions: list[dict[str, Any]] = Field(description="name, value, threshold, passed, why, evidence")
    limits: list[str] = Field(description="what the verdict does not show, in sentences")


class Opening(BaseModel):
    """Of the sealed test set. number: the how many-th by any run (null: never opened by this one)."""

    opened: bool
    number: int | None
    alpha: float | None
    test_id: str | None


class Power(BaseModel):
    """Groups at hand and groups that would decide."""

    test: str
    split: str
    n: int
    groups: int
    groups_needed: int | None
    enough: bool | None


class Data(BaseModel):
    """Counts of the data set. fingerprint changes with any photo, path or label."""

    fingerprint: str
    images: int
    classes: list[str]
    splits: dict[str, int]
    rejected: int
    duplicates: int
    leaks: int
    label_issues: int


class Calibration(BaseModel):
    """On validation, of the model before. ece: expected calibration error; bins: of the reliability diagram."""

    ece: float | None
    temperature: float | None
    bins: list[dict[str, float]]
    decline: dict[str, Any] = Field(description="the rule: threshold on confidence, target_error, error, coverage")


class Confusion(BaseModel):
    """Photos of validation of one true class and one answer, before and after; only cells that hold a photo."""

    true: str
    predicted: str
    before: int
    after: int


class Summary(BaseModel):
    """The whole of `summary.json`."""

    version: int = Field(VERSION, alias="schema")
    run_id: str
    seed: int
    verdict: Verdict
    metrics: dict[str, Split] = Field(description="by split: test (where it was opened), val")
    slices: list[Slice]
    remedies: list[Remedy]
    refused: list[dict[str, Any]] = Field(description="changes that would change a label, by class")
    changes: dict[str, int] = Field(description="photos of validation: fixed, broken, still wrong, still right")
    confusion: list[Confusion]
    classes: list[dict[str, Any]] = Field(description="name; before, after: precision, recall, f1, support")
    calibration: Calibration
    opening: Opening
    power: list[Power]
    data: Data
    notes: list[dict[str, str]] = Field(description="what was odd: stage, text")


def _share(part: Mapping[str, Any] | None) -> Share | None:
    return Share(value=part["value"], low=part["low"], high=part["high"]) if part else None


def _gain(gain: Mapping[str, Any] | None) -> Gain | None:
    if not gain:
        return None
    kept = {k: gain[k] for k in ("low", "high", "bound", "within_noise", "seeds")}
    return Gain(value=gain["mean"], **kept)


def _part(row: Mapping[str, Any]) -> Part:
    arms: dict[str, Any] = {name: _share(row[arm]) for name, arm in _ARMS}
    kept = {k: row[k] for k in ("what", "slice", "n", "groups")}
    return Part(**kept, **arms, gain=_gain(row["gain"]))


def _split(page: Page, key: str, record: Mapping[str, Any]) -> Split:
    first = {name: (record["arms"].get(arm) or [None])[0] for name, arm in _ARMS}
    return Split(
        n=record["n"],
        groups=record["groups"],
        alpha=record["alpha"],
        accuracy={name: _share(scores["accuracy"]) if scores else None for name, scores in first.items()},
        macro_f1={name: scores["macro_f1"] if scores else None for name, scores in first.items()},
        parts=[_part(row) for row in r.parts(page) if row["split"] == key],
    )


def _doses(page: Page, row: Mapping[str, Any]) -> list[Dose]:
    remedy = row["cause"] or row["remedy"]
    if remedy is None:
        return []
    table = view.dose_table(page, row["slice"], remedy)
    return [Dose(remedy=remedy, **plain(line)) for line in table.to_dict("records")]


def _slice(page: Page, row: Mapping[str, Any]) -> Slice:
    errors = view.errors(page, row["slice"])
    return Slice(
        **{k: row[k] for k in Slice.model_fields if k in row and k not in ("excess", "effect")},
        excess=Share(value=row["excess"], low=row["low"], high=row["high"]),
        effect=Share(value=row["effect"], low=row["effect_low"], high=row["effect_high"]),
        error_before=errors["before"],
        error_control=errors["control"] if page.changed else None,
        error_after=errors["after"] if page.changed else None,
        dose_response=_doses(page, row),
        image_ids=sorted(page.members.get(row["slice"], [])),
        review=view.reviewed(page, row)["decision"],
    )


def _remedy(page: Page, prescription: Mapping[str, Any]) -> Remedy:
    repair = view.remedy(page, prescription["slice"])
    kept = {k: prescription[k] for k in ("slice", "kind", "action")}
    return Remedy(**kept, training=[Planned(**p) for p in repair["plan"]], correction=repair["correction"])


def _data(page: Page) -> Data:
    pairs = page["duplicates"]
    return Data(
        fingerprint=fingerprint(page),
        images=len(page.images),
        classes=page.classes,
        splits={str(k): int(v) for k, v in sorted(page.images["split"].value_counts().items())},
        rejected=len(page["rejected"]),
        duplicates=len(pairs),
        leaks=int(pairs["across_splits"].astype(bool).sum()),
        label_issues=len(page["label_issues"]),
    )


def _confusion(page: Page) -> list[Confusion]:
    cells = zip(*np.nonzero(page.counts[0] + page.counts[1]), strict=True)
    names, (before, after) = page.classes, page.counts
    return [
        Confusion(true=names[i], predicted=names[j], before=int(before[i, j]), after=int(after[i, j])) for i, j in cells
    ]


def _classes(page: Page) -> list[dict[str, Any]]:
    rows = zip(*(by_class(counts, page.classes) for counts in page.counts), strict=True)
    return [{"name": a["name"], "before": _but_name(a), "after": _but_name(b)} for a, b in rows]


def _but_name(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "name"}


def _calibration(page: Page) -> Calibration:
    record, rule = page["metrics"].get("calibration") or {}, page["policy"].get("decline") or {}
    return Calibration(
        ece=record.get("ece"), temperature=record.get("temperature"), bins=record.get("bins") or [], decline=rule
    )


def summarise(page: Page) -> dict[str, Any]:
    """The summary as JSON."""
    verdict, opening = page["verdict"], page["comparison"]["opening"] or {}
    summary = Summary(
        schema=VERSION,
        run_id=page.run_id,
        seed=page.seed,
        verdict=Verdict(
            promoted=verdict["promoted"],
            word=r.outcome_word(page),
            headline=verdict["headline"],
            outcome=page["comparison"].get("outcome"),
            conditions=verdict["conditions"],
            limits=verdict.get("limits", []),
        ),
        metrics={key: _split(page, key, record) for key, _, record in r.opened(page)},
        slices=[_slice(page, row) for row in page.slices],
        remedies=[_remedy(page, p) for p in page["policy"]["prescriptions"]],
        refused=page["policy"]["refused"],
        changes={str(k): int(v) for k, v in sorted(page.flips["change"].value_counts().items())},
        confusion=_confusion(page),
        classes=_classes(page),
        calibration=_calibration(page),
        opening=Opening(
            opened=bool(opening.get("opened")),
            number=opening.get("number") if opening.get("opened") else None,
            alpha=opening.get("alpha"),
            test_id=opening.get("test_id"),
        ),
        power=[Power(**{k: row[k] for k in Power.model_fields}) for row in page["comparison"]["power"]],
        data=_data(page),
        notes=page.all_notes,
    )
    return summary.model_dump(mode="json", by_alias=True)
