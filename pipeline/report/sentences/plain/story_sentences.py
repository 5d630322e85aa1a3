"""The story of a run in sentences: findings, causes, remedies and result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.domain.statuses import CauseConfidence
from pipeline.remedies import phrase_intervention
from pipeline.report.sentences.number_format import format_count
from pipeline.report.sentences.slice_sentences import describe_cause
from pipeline.report.sentences.strength_format import format_strength_range

LIGHT_REMEDY = "exposure"
"""The remedy whose strength is a factor; readers know it as a share of the light."""


def format_familiar_range(remedy: str, low: float, high: float) -> str:
    """Return a range of strengths in a unit that people know.

    >>> format_familiar_range("exposure", 0.15, 0.4), format_familiar_range("exposure", 2.0, 4.0)
    ('at 15 to 40 % of the light', 'at 2 to 4 times the light')
    >>> format_familiar_range("rotation", -30.0, -20.0)
    'rotated by −30 to −20 degrees'
    """
    if remedy != LIGHT_REMEDY:
        return format_strength_range(remedy, low, high)
    factor, unit = (100, "% of") if high <= 1 else (1, "times")
    ends = dict.fromkeys((f"{factor * low:.2g}", f"{factor * high:.2g}"))
    return f"at {' to '.join(ends)} {unit} the light"


def describe_cause_evidence(explanation: Mapping[str, Any]) -> str:
    """Return the cause of a slice with its strength, and how sure it is, in one sentence.

    Args:
        explanation: a row of `page.slices`.
    """
    cause, confidence = explanation["cause"], explanation["confidence"]
    if confidence == CauseConfidence.LEANS_ON_MARK:
        return (
            "the model relies on a mark of this class, which these images lack: covering the mark "
            "and pasting it into images of other classes changes its predictions"
        )
    if not cause:
        return (
            "the cause is unnamed: no change of the images was shown both to make good ones fail "
            "like these and to correct these"
        )
    look = describe_cause(cause, explanation["strength_high"]) or "like this"
    strength = format_familiar_range(
        cause, explanation["strength_low"], explanation["strength_high"]
    )
    if confidence == CauseConfidence.SUSPECTED:
        return f"they may be {look}: good images, {strength}, look like these; no model tested it"
    if confidence == CauseConfidence.INVERSE_CONFIRMED:
        return (
            f"they are {look}: good images, {strength}, fail in the same way, and "
            f"{_describe_correction(explanation)}"
        )
    return (
        f"consistent with {look}: good images, {strength}, look and fail in the same way; that "
        "undoing it corrects these was not shown"
    )


def _describe_correction(explanation: Mapping[str, Any]) -> str:
    share = explanation["repair_share"]
    if share is None:
        return "undoing it corrects these"
    inverse = phrase_intervention(explanation["cause"], explanation["repair_strength"])
    return f"{inverse} corrects {100 * share:.0f} % of the failures"


def describe_treatment(treatment: Mapping[str, Any]) -> str:
    """Return how many training images were shown under a remedy.

    Args:
        treatment: remedy, simulator, images, strength_low, strength_high, probability and
            tone_share.
    """
    strength = format_familiar_range(
        treatment["remedy"], treatment["strength_low"], treatment["strength_high"]
    )
    images = format_count(treatment["images"], "training image was", "training images were")
    share = f"in {100 * treatment['probability']:.0f} % of their passes"
    if treatment["simulator"]:
        return (
            f"{images} replaced {share} by images that the simulator {treatment['simulator']} drew "
            f"under {strength}; none of these is in validation or test"
        )
    text = f"{images} also shown {strength}, {share}"
    if treatment["tone_share"]:
        text += (
            f"; {100 * treatment['tone_share']:.0f} % of these with the brightness and colors of a "
            "real image of this kind instead"
        )
    return text


def describe_broken_images(
    broken_count: int, places: Sequence[tuple[str, int]], traits: str
) -> str:
    """Return what the images share that are wrong now and were right before.

    Args:
        broken_count: number of these images.
        places: place of each slice that holds some of them, with their number.
        traits: traits in words; empty if there are none.
    """
    parts = [f"{count:,} of {broken_count:,} lie {place}" for place, count in places[:1]]
    if traits:
        parts.append(traits)
    return "; ".join(parts) or "they share nothing that sets them apart"
