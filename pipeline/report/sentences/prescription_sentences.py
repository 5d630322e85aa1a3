"""The sentences about prescriptions, searched plans and refused treatments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.domain.prescriptions import PrescribedTreatment, Prescription
from pipeline.domain.statuses import PrescriptionKind
from pipeline.report.sentences.strength_format import format_strength_range


def describe_prescription(prescription: Prescription) -> str:
    """Return the remedy of a slice in words."""
    action = _describe_action(prescription)
    correction = prescription.correction
    if correction:
        strength = correction.strength
        text = format_strength_range(correction.remedy, strength, strength)
        action += f"; or correct them as they arrive: {text}"
    if prescription.images and not prescription.is_trained:
        return f"tried, and left out because it gained too little: {action}"
    return action


def _describe_action(prescription: Prescription) -> str:
    match prescription.kind:
        case PrescriptionKind.COLLECT:
            return "collect more images like these: no transform was shown to be the cause"
        case PrescriptionKind.REWEIGHT:
            return (
                f"weigh {prescription.images:,} training images without the mark "
                f"{_get_factor(prescription):.0f} times as much, so that they count like those "
                "with it; where nothing else is trained, the last layer alone learns"
            )
        case PrescriptionKind.OVERSAMPLE:
            return (
                f"show {prescription.images:,} training images like these "
                f"{_get_factor(prescription):.0f} times as often, and collect more: no transform "
                "was shown to be the cause"
            )
        case PrescriptionKind.AUGMENT:
            treatments = " and ".join(map(_describe_treatment, prescription.treatments))
            action = f"train on {treatments}"
            if prescription.fit_auc is not None:
                action += f" (separable from the slice with an AUC of {prescription.fit_auc:.2f})"
            return action


def _get_factor(prescription: Prescription) -> float:
    """Return how many times as often images are shown, or as much they are weighed."""
    ((factor, _),) = prescription.treatments[0].strength_ranges
    return factor


def _describe_treatment(treatment: PrescribedTreatment) -> str:
    ranges = []
    for low, high in treatment.strength_ranges:
        ranges.append(format_strength_range(treatment.remedy, low, high))
    text = " and ".join(ranges)
    if treatment.simulator:
        return f"images that the simulator of {treatment.simulator} drew under {text}"
    text = f"{treatment.images:,} training images treated with {text}"
    if treatment.tone_share:
        text += (
            f", {treatment.tone_share:.0%} of their views with the brightness and colors of a real "
            "image of the slice instead"
        )
    return text


def describe_searched_plan(slices: Sequence[str], is_whole: bool, is_reduced: bool) -> str:
    """Return a plan that a search tried.

    >>> describe_searched_plan(["s2"], False, False), describe_searched_plan(["s2"], True, True)
    ('s2 alone', 's2, in half as many views')

    Args:
        slices: the slices that are treated.
        is_whole: whether the plan treats all planned slices.
        is_reduced: whether it treats fewer views of them.
    """
    suffix = "" if is_whole else " alone" if len(slices) == 1 else " only"
    views = ", in half as many views" if is_reduced else ""
    return f"{' and '.join(slices)}{suffix}{views}"


def describe_refusals(refused: Iterable[dict[str, Any]]) -> list[str]:
    """Return one line for each remedy with the classes for which it is refused.

    >>> describe_refusals([{"remedy": "rotation", "from": "6", "to": "9"}])
    ['rotation changes labels and is refused for: 6 to 9']
    """
    pairs: dict[str, set[str]] = {}
    for change in refused:
        pair = f"{change['from']} to {change['to']}"
        pairs.setdefault(change["remedy"], set()).add(pair)
    lines = []
    for remedy in sorted(pairs):
        listed = ", ".join(sorted(pairs[remedy]))
        lines.append(f"{remedy} changes labels and is refused for: {listed}")
    return lines
