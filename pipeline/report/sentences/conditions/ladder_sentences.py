"""Sentences about the steps of the remedy, and about validation images in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.domain.statuses import LadderStep
from pipeline.report.sentences.number_format import format_count, format_percent

Record = Mapping[str, Any]


def name_step(record: Record, has_treatment: bool) -> str:
    """Return a step in words.

    Args:
        record: a record of the ladder.
        has_treatment: whether the remedies alone are a step of their own.
    """
    match LadderStep(record["step"]):
        case LadderStep.TREATMENT:
            return "the planned remedies"
        case LadderStep.REAL_IMAGES:
            images = "real images of the slices, from validation"
            return images if has_treatment else f"the planned remedies and {images}"
        case LadderStep.AVERAGE:
            return "the weights of all seeds averaged"
        case LadderStep.INTERPOLATION:
            if record["share"] == 1:
                return "the step back to the model before: none was better"
            return f"the weights taken {format_percent(record['share'], 0)} of the way"


def describe_real_images(halves: Sequence[Record]) -> str:
    """Return how many validation images were trained on, and what judged; empty without any.

    Args:
        halves: the record of each half.
    """
    if not halves:
        return ""
    counts = []
    for half in halves:
        images = format_count(half["images"], "image")
        counts.append(f"{images} of {format_count(half['groups'], 'group')}")
    return (
        "Every arm was trained twice, each time on one half of the validation images too: the "
        f"targeted arm on those of the planned slices ({counts[0]}; {counts[1]}), the other arms "
        "on as many random ones. Each validation image is predicted by the training that saw no "
        "image of its half. What ships is the average of both, which the test set alone judges."
    )


def build_ladder_rows(ladder: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the steps with their names; empty without any.

    Args:
        ladder: the key of that name of the artifact `comparison`.
    """
    has_treatment = any(record["step"] == LadderStep.TREATMENT for record in ladder)
    return [{**record, "name": name_step(record, has_treatment)} for record in ladder]
