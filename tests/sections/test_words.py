import json

import pytest

from pipeline.sections import words as w

NB = w.NARROW


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (w.percent(0.9134), f"91.3{NB}%"),
        (w.percent(None), "–"),
        (w.percent(float("nan")), "–"),
        (w.signed(-2.04), "−2.0"),
        (w.signed(-0.01), "0.0"),
        (w.signed(3, 0), "+3"),
        (w.points(0.021), "+2.1 points"),
        (w.interval([0.5, 0.75]), f"50.0 to 75.0{NB}%"),
        (w.interval([-0.01, 0.02], "points"), "−1.0 to +2.0"),
        (w.interval([None, 0.5]), "–"),
        (w.level(0.05), f"95{NB}%"),
        (w.level(0.025), f"97.5{NB}%"),
        (w.level(0.05 / 6), f"99.2{NB}%"),
        (w.level(None), "–"),
        (w.number(12345), "12,345"),
        (w.number(0.12345), "0.123"),
        (w.number(-3.0), "−3"),
        (w.probability(0.0002), "< 0.001"),
        (w.count(1, "photo"), "1 photo"),
        (w.count(1200, "class", "classes"), "1,200 classes"),
        (w.seconds(133), "2 min 13 s"),
        (w.seconds(59.99), "60 s"),
        (w.seconds(7300), "2 h 1 min"),
        (w.sentence("too dark"), "Too dark."),
        (w.sentence(""), ""),
        (w.minus("at least -1.0 points; gate-2"), "at least −1.0 points; gate-2"),
    ],
)
def test_numbers_are_said_one_way(said: str, expected: str) -> None:
    assert said == expected


def test_embedded_json_cannot_end_its_script_and_reads_back() -> None:
    value = {"</script><!--": ["<b>&\u2028", 1.5, None]}
    text = str(w.embed(value))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value


def test_slices_are_counted_by_state_in_the_order_given() -> None:
    tracks = [{"state": state} for state in ("new", "open", "new", "closed")]
    assert w.counted(tracks) == "2 new, 1 open, 1 closed"
    assert w.counted([]) == ""
