import json

import pytest

from pipeline.report.sentences import number_format as fmt

NARROW = fmt.NARROW_SPACE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (fmt.format_percent(0.9134), f"91.3{NARROW}%"),
        (fmt.format_percent(None), "–"),
        (fmt.format_percent(float("nan")), "–"),
        (fmt.format_signed(-2.04), "−2.0"),
        (fmt.format_signed(-0.01), "0.0"),
        (fmt.format_signed(3, 0), "+3"),
        (fmt.format_points(0.021), "+2.1 points"),
        (fmt.format_interval([0.5, 0.75]), f"50.0 to 75.0{NARROW}%"),
        (fmt.format_interval([-0.01, 0.02], "points"), "−1.0 to +2.0"),
        (fmt.format_interval([None, 0.5]), "–"),
        (fmt.format_confidence_level(0.05), f"95{NARROW}%"),
        (fmt.format_confidence_level(0.025), f"97.5{NARROW}%"),
        (fmt.format_confidence_level(0.05 / 6), f"99.2{NARROW}%"),
        (fmt.format_confidence_level(None), "–"),
        (fmt.format_number(12345), "12,345"),
        (fmt.format_number(0.12345), "0.123"),
        (fmt.format_number(-3.0), "−3"),
        (fmt.format_probability(0.0002), "< 0.001"),
        (fmt.format_count(1, "image"), "1 image"),
        (fmt.format_count(1200, "class", "classes"), "1,200 classes"),
        (fmt.format_duration(133), "2 min 13 s"),
        (fmt.format_duration(59.99), "60 s"),
        (fmt.format_duration(3599.7), "1 h 0 min"),
        (fmt.format_duration(7300), "2 h 1 min"),
        (fmt.format_sentence("too dark"), "Too dark."),
        (fmt.format_sentence(""), ""),
        (fmt.set_minus_signs("at least -1.0 points; gate-2"), "at least −1.0 points; gate-2"),
        (fmt.format_rule("day <= -1 and hour >= 3"), "day ≤ −1 and hour ≥ 3"),
    ],
)
def test_numbers_have_one_format(text: str, expected: str) -> None:
    assert text == expected


def test_embedded_json_cannot_end_its_script_and_can_be_parsed() -> None:
    value = {"</script><!--": ["<b>&\u2028", 1.5, None]}
    text = str(fmt.embed_json(value))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value


def test_slices_are_counted_by_state_in_their_order() -> None:
    trends = [{"state": state} for state in ("new", "open", "new", "closed")]
    assert fmt.count_slice_states(trends) == "2 new, 1 open, 1 closed"
    assert fmt.count_slice_states([]) == ""
