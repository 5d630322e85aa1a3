import pytest
from pydantic import ValidationError

from pipeline.domain.slice_traits import (
    ClassNeighborsTrait,
    ConfusionTrait,
    MeasureTrait,
    SliceNeighborsTrait,
    SliceTrait,
    ValueTrait,
    dump_traits,
    parse_traits,
)

ALL_KINDS: list[SliceTrait] = [
    ConfusionTrait("größe", "b; c", 7, 9),
    SliceNeighborsTrait(0.5, 0.1),
    ClassNeighborsTrait("b", 0.9, 0.5),
    MeasureTrait("sharpness", -1.25),
    ValueTrait("camera", "north", 0.9, 0.4),
]


def test_every_kind_survives_json() -> None:
    assert parse_traits(dump_traits(ALL_KINDS)) == ALL_KINDS
    assert parse_traits(dump_traits([])) == []


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValidationError):
        parse_traits('[{"kind": "weather", "share": 0.5}]')
