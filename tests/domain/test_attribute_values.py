import pytest

from pipeline.domain.attribute_values import format_value, get_period


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("luminance", 62.43218, "62.43"),
        ("day", 19723.5, "2024-01-01 12:00"),
        ("my column", 0.000123456, "0.0001235"),
    ],
)
def test_a_value_is_shown_with_four_digits_or_as_its_plugin_shows_it(
    column: str, value: float, text: str
) -> None:
    assert format_value(column, value) == text


def test_only_a_circular_attribute_has_a_period() -> None:
    assert get_period("hour") == 24.0
    assert get_period("luminance") is None
    assert get_period("my column") is None
