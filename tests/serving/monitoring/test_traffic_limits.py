import pytest

from pipeline.contracts import InputError
from pipeline.serving.monitoring.traffic_limits import check_conditions, parse_limits


def _found(rise: float | None, q: float | None, unreadable: int = 0) -> dict[str, object]:
    decline = {
        "share": 0.5,
        "rise": rise,
        "q": q,
        "reason": None if q is not None else "4 units; 10 would do",
    }
    parts = {"attributes": [], "new": [], "slices": []}
    return {"images": 90, "rows": 100, "unreadable": unreadable, "decline": decline, **parts}


def _passed(found: dict[str, object], *limits: str) -> dict[str, bool]:
    return {item["name"]: item["passed"] for item in check_conditions(found, parse_limits(limits))}


def test_a_condition_fails_where_a_limit_is_passed_and_chance_does_not_explain_it() -> None:
    assert _passed(_found(0.3, 0.001))["max_decline_rise"] is False
    assert _passed(_found(0.3, 0.2))["max_decline_rise"] is True
    assert _passed(_found(0.05, 0.001))["max_decline_rise"] is True
    assert _passed(_found(0.05, 0.001), "max_decline_rise=0.01")["max_decline_rise"] is False
    assert _passed(_found(0.3, None))["max_decline_rise"] is True
    unjudged = check_conditions(_found(0.3, None), parse_limits([]))[3]
    assert (
        unjudged["words"]
        == "the decline rate: not judged: 4 units; 10 would do; at most 10.0% (max_decline_rise)"
    )
    assert unjudged["value"] is None


def test_images_that_could_not_be_read_are_counted_over_all_rows() -> None:
    assert _passed(_found(0.0, 1.0, unreadable=6))["max_unreadable"] is False
    assert _passed(_found(0.0, 1.0, unreadable=5))["max_unreadable"] is True


def test_a_limit_that_is_none_is_one_line() -> None:
    with pytest.raises(
        InputError, match=r"unknown key monitor\.max_ps; did you mean monitor\.max_psi"
    ):
        parse_limits(["max_ps=1"])
    with pytest.raises(InputError, match=r"monitor\.alpha: must be less than 1"):
        parse_limits(["alpha=2"])
