from types import SimpleNamespace

import pandas as pd
import pytest

from pipeline import remedies
from pipeline.slices.prescription.strength_ranges import (
    StrengthRange,
    compute_middle_strength,
    is_multiplicative,
    is_ordered,
    list_nearby_strengths,
    list_strength_ranges,
)


def test_ranges_are_the_cause_and_its_equivalents_each_after_its_renderer() -> None:
    explanation = SimpleNamespace(slice="s1", cause="contrast", strength_low=0.1, strength_high=0.5)
    rows = [
        ("s1", "contrast", 0.2, False, True),
        ("s1", "exposure", 0.25, True, False),
        ("s1", "gamma", 3.0, False, False),
        ("s2", "noise", 20.0, False, True),
    ]
    columns = ["slice", "remedy", "strength", "is_equivalent", "is_named"]
    causes = pd.DataFrame(rows, columns=columns)
    ranges = list_strength_ranges(explanation, causes, remedies.find_training_remedy)
    assert ranges == [
        StrengthRange("contrast", 0.1, 0.5),
        StrengthRange("low_light", 0.25, 0.25),
        StrengthRange("exposure", 0.25, 0.25),
    ]


def test_strengths_stay_on_their_side_of_neutral_and_possible() -> None:
    dark = list_nearby_strengths(StrengthRange("low_light", 0.2, 0.4))
    assert {0.2, 0.4} <= set(dark)
    assert max(dark) < 1
    assert dark == sorted(dark)
    assert min(list_nearby_strengths(StrengthRange("exposure", 2.0, 3.0))) > 1
    assert max(list_nearby_strengths(StrengthRange("contrast", 1.5, 2.0))) <= 10


@pytest.mark.parametrize(
    ("remedy", "middle"), [("exposure", 2.0), ("low_light", 2.0), ("rotation", 2.5)]
)
def test_the_middle_is_geometric_if_strengths_multiply(remedy: str, middle: float) -> None:
    assert is_multiplicative(remedy) == (middle == 2.0)
    assert compute_middle_strength(remedy, 1.0, 4.0) == middle


def test_a_renderer_has_the_order_of_the_rendered_remedy() -> None:
    assert is_ordered("low_light")
    assert not is_ordered("horizontal_flip")
