from typing import Any

import pytest

from pipeline.contracts import InputError
from pipeline.report.sentences.traffic_sentences import CONDITION_DESCRIPTIONS
from pipeline.serving.monitoring.traffic_limits import (
    MonitoringLimits,
    check_conditions,
    parse_limits,
)
from pipeline.statistics.untestable_reasons import UntestableKind, UntestableReason

TOO_FEW = UntestableReason(UntestableKind.TOO_FEW_UNITS, 4, 10).build_record()


def _build_findings(rise: float, q: float | None, unreadable: int = 0) -> dict[str, Any]:
    reason = None if q is not None else TOO_FEW
    decline = {"share": 0.5, "rise": rise, "q": q, "reason": reason}
    counts = {"images": 90, "rows": 100, "unreadable": unreadable}
    return {**counts, "decline": decline, "attributes": [], "new": [], "slices": []}


def _check(findings: dict[str, Any], name: str, *limits: str) -> dict[str, Any]:
    conditions = check_conditions(findings, parse_limits(limits))
    return next(condition for condition in conditions if condition["name"] == name)


@pytest.mark.parametrize(
    ("rise", "q", "limits", "is_passed"),
    [
        (0.3, 0.001, [], False),
        (0.3, 0.2, [], True),  # chance explains it
        (0.05, 0.001, [], True),  # within the limit
        (0.05, 0.001, ["max_decline_rise=0.01"], False),
        (0.3, None, [], True),  # not tested
    ],
)
def test_condition_fails_above_its_limit_unless_chance_explains_it(
    rise: float, q: float | None, limits: list[str], is_passed: bool
) -> None:
    condition = _check(_build_findings(rise, q), "max_decline_rise", *limits)
    assert condition["passed"] is is_passed
    assert bool(condition["exceeded"]) is not is_passed


def test_untested_condition_has_a_reason_and_no_value() -> None:
    condition = _check(_build_findings(0.3, None), "max_decline_rise")
    assert condition["value"] is None
    assert condition["untested_reason"] == TOO_FEW


def test_unreadable_images_are_a_share_of_all_rows() -> None:
    assert _check(_build_findings(0.0, 1.0, unreadable=6), "max_unreadable")["passed"] is False
    assert _check(_build_findings(0.0, 1.0, unreadable=5), "max_unreadable")["passed"] is True


def test_every_limit_is_a_condition_with_a_description() -> None:
    limits = {name for name in MonitoringLimits.model_fields if name.startswith("max_")}
    conditions = check_conditions(_build_findings(0.0, 1.0), parse_limits([]))
    assert {condition["name"] for condition in conditions} == limits == set(CONDITION_DESCRIPTIONS)


def test_invalid_limit_is_an_error() -> None:
    with pytest.raises(
        InputError, match=r"unknown key monitor\.max_ps; did you mean monitor\.max_psi"
    ):
        parse_limits(["max_ps=1"])
    with pytest.raises(InputError, match=r"monitor\.alpha: must be less than 1"):
        parse_limits(["alpha=2"])
