import json

import pytest

from pipeline.report import number_format as w

NB = w.NARROW_SPACE


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (w.format_percent(0.9134), f"91.3{NB}%"),
        (w.format_percent(None), "–"),
        (w.format_percent(float("nan")), "–"),
        (w.format_signed(-2.04), "−2.0"),
        (w.format_signed(-0.01), "0.0"),
        (w.format_signed(3, 0), "+3"),
        (w.format_points(0.021), "+2.1 points"),
        (w.format_interval([0.5, 0.75]), f"50.0 to 75.0{NB}%"),
        (w.format_interval([-0.01, 0.02], "points"), "−1.0 to +2.0"),
        (w.format_interval([None, 0.5]), "–"),
        (w.format_confidence_level(0.05), f"95{NB}%"),
        (w.format_confidence_level(0.025), f"97.5{NB}%"),
        (w.format_confidence_level(0.05 / 6), f"99.2{NB}%"),
        (w.format_confidence_level(None), "–"),
        (w.format_number(12345), "12,345"),
        (w.format_number(0.12345), "0.123"),
        (w.format_number(-3.0), "−3"),
        (w.format_probability(0.0002), "< 0.001"),
        (w.format_count(1, "image"), "1 image"),
        (w.format_count(1200, "class", "classes"), "1,200 classes"),
        (w.format_duration(133), "2 min 13 s"),
        (w.format_duration(59.99), "60 s"),
        (w.format_duration(7300), "2 h 1 min"),
        (w.format_sentence("too dark"), "Too dark."),
        (w.format_sentence(""), ""),
        (w.set_minus_signs("at least -1.0 points; gate-2"), "at least −1.0 points; gate-2"),
    ],
)
def test_numbers_are_said_one_way(said: str, expected: str) -> None:
    assert said == expected


def test_embedded_json_cannot_end_its_script_and_reads_back() -> None:
    value = {"</script><!--": ["<b>&\u2028", 1.5, None]}
    text = str(w.embed_json(value))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value


def test_slices_are_counted_by_state_in_the_order_given() -> None:
    tracks = [{"state": state} for state in ("new", "open", "new", "closed")]
    assert w.count_slice_states(tracks) == "2 new, 1 open, 1 closed"
    assert w.count_slice_states([]) == ""
