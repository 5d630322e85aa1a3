"""Traits that the failing images of a slice share: a description of them, no evidence for a cause.

Shares are in [0, 1]. An `expected` share is that of other images: by chance, or of the same class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter


@dataclass(frozen=True)
class ConfusionTrait:
    """The most frequent confusion.

    Attributes:
        label: its label.
        prediction: its prediction.
        count: failing images with both.
        failures: all failing images.
    """

    label: str
    prediction: str
    count: int
    failures: int
    kind: Literal["confusion"] = "confusion"


@dataclass(frozen=True)
class SliceNeighborsTrait:
    """The share whose most similar image of another group is in the slice too."""

    share: float
    expected: float
    kind: Literal["slice neighbors"] = "slice neighbors"


@dataclass(frozen=True)
class ClassNeighborsTrait:
    """The share whose most similar image of the other classes is of one class."""

    class_name: str
    share: float
    expected: float
    kind: Literal["class neighbors"] = "class neighbors"


@dataclass(frozen=True)
class TrainingDistanceTrait:
    """The share that no training image of its class is as near to as usual.

    Attributes:
        share: share of the failing images.
        expected: share of the images of their classes outside the slice.
        training_count: training images of a failing image's class, the median.
        nearest_ids: nearest training images of the failing images that are farthest from any.
    """

    share: float
    expected: float
    training_count: int
    nearest_ids: tuple[str, ...] = ()
    kind: Literal["training distance"] = "training distance"


@dataclass(frozen=True)
class MeasureTrait:
    """A number that differs from others of their class, in standard deviations, with its sign."""

    column: str
    deviation: float
    kind: Literal["measure"] = "measure"


@dataclass(frozen=True)
class ValueTrait:
    """The share that has one value of a metadata column."""

    column: str
    value: str
    share: float
    expected: float
    kind: Literal["metadata value"] = "metadata value"


SliceTrait = (
    ConfusionTrait
    | SliceNeighborsTrait
    | ClassNeighborsTrait
    | TrainingDistanceTrait
    | MeasureTrait
    | ValueTrait
)
_TRAITS = TypeAdapter(list[Annotated[SliceTrait, Field(discriminator="kind")]])


def dump_traits(traits: Sequence[SliceTrait]) -> str:
    """Return the traits as JSON, see `parse_traits`."""
    return _TRAITS.dump_json(list(traits)).decode()


def parse_traits(text: str) -> list[SliceTrait]:
    """Return the traits that `dump_traits` wrote."""
    return list(_TRAITS.validate_json(text))
