import pytest

from pipeline.remedies import list_remedies, load_remedy
from pipeline.report.sentences.strength_format import (
    describe_strength_axis,
    format_remedy_strength,
    format_strength,
    format_strength_range,
)


@pytest.mark.parametrize(
    ("remedy", "low", "high", "text"),
    [
        ("exposure", 0.15, 0.4, "exposure x0.15 to x0.4"),
        ("rotation", -20.0, -10.0, "rotated by −20 to −10 degrees"),
        ("blur", 1.0, 2.5, "blurred by 1 to 2.5 px"),
        ("jpeg", 10.0, 30.0, "JPEG quality 10 to 30"),
        ("crop", 0.1, 0.2, "cropped by 10% to 20% of each side"),
        ("horizontal_flip", 1.0, 1.0, "mirrored"),
        ("gone_away", 1.0, 2.0, "gone away 1 to 2"),
    ],
)
def test_a_range_has_the_unit_of_its_remedy(
    remedy: str, low: float, high: float, text: str
) -> None:
    assert format_strength_range(remedy, low, high) == text


@pytest.mark.parametrize("remedy", list_remedies())
def test_every_strength_differs_on_the_axis_and_in_the_text(remedy: str) -> None:
    strengths = load_remedy(remedy).STRENGTHS
    assert len({format_strength(remedy, strength) for strength in strengths}) == len(strengths)
    texts = {format_remedy_strength(remedy, strength) for strength in strengths}
    assert len(texts) == len(strengths)


def test_one_strength_is_no_range_and_none_is_the_name_alone() -> None:
    assert format_remedy_strength("exposure", 2.0) == "exposure x2"
    assert format_remedy_strength("local_contrast", None) == "local contrast"


def test_the_axis_has_the_unit() -> None:
    assert describe_strength_axis("blur") == "blurred by … px"
    assert describe_strength_axis("exposure") == "exposure"
    assert format_strength("blur", 1.2) == "1.2"
