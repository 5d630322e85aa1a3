"""The text about what the failing images of a slice share."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from pipeline.domain.slice_traits import (
    ClassNeighborsTrait,
    ConfusionTrait,
    MeasureTrait,
    SliceNeighborsTrait,
    SliceTrait,
    TrainingDistanceTrait,
    ValueTrait,
)


def describe_traits(traits: Iterable[SliceTrait]) -> str:
    """Return what the failing images of a slice share; measures that follow each other as one.

    Args:
        traits: the traits, in the order of the text.
    """
    phrases = []
    for is_measure, items in groupby(traits, lambda trait: isinstance(trait, MeasureTrait)):
        described = list(map(_describe_trait, items))
        if is_measure:
            described = [f"{', '.join(described)} others of their class"]
        phrases += described
    return "; ".join(phrases)


def _format_share(share: float) -> str:
    return f"{100 * share:.0f} %"


def _describe_trait(trait: SliceTrait) -> str:
    match trait:
        case ConfusionTrait():
            return (
                f"{trait.count:,} of {trait.failures:,} failures are {trait.label} "
                f"predicted as {trait.prediction}"
            )
        case SliceNeighborsTrait():
            return (
                f"{_format_share(trait.share)} of them look most like another image of the slice, "
                f"{_format_share(trait.expected)} would by chance"
            )
        case ClassNeighborsTrait():
            return (
                f"of the other classes they look most like {trait.class_name}: "
                f"{_format_share(trait.share)} of them do, "
                f"{_format_share(trait.expected)} would by chance"
            )
        case TrainingDistanceTrait():
            return (
                f"unlike anything in training: for {_format_share(trait.share)} of them 0 of "
                f"{trait.training_count:,} training images of their class are as near as usual, "
                f"for {_format_share(trait.expected)} of other images"
            )
        case MeasureTrait():
            side = "above" if trait.deviation > 0 else "below"
            return f"{trait.column} {abs(trait.deviation):.1f} standard deviations {side}"
        case ValueTrait():
            return (
                f"{trait.column} {trait.value} for {_format_share(trait.share)}, "
                f"{_format_share(trait.expected)} of others of their class"
            )
