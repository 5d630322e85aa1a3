from typing import Any

import pytest

from pipeline.slices.tracking.reference_profile import ReferenceProfile
from pipeline.slices.tracking.traffic_comparison import compare_traffic
from pipeline.slices.tracking.traffic_conditions import (
    FindingKind,
    TrafficLimits,
    evaluate_condition,
    evaluate_conditions,
)
from pipeline.statistics.untestable_reasons import UntestableKind, UntestableReason
from tests.arrivals import rows
from tests.slices.tracking.conftest import build_traffic

TOO_FEW = UntestableReason(UntestableKind.TOO_FEW_UNITS, 2, 10).build_record()
LIMITS = TrafficLimits.model_validate({})


def _evaluate(reference: ReferenceProfile, **drawn: Any) -> dict[str, bool]:
    comparison = compare_traffic(reference, build_traffic(rows(**drawn)), LIMITS)
    return {item["name"]: item["passed"] for item in evaluate_conditions(comparison, LIMITS)}


def _find(value: float, q: float | None, name: str = "x") -> dict[str, Any]:
    return {"value": value, "q": q, "reason": TOO_FEW, "name": name}


def test_traffic_like_the_reference_rarely_fails(reference: ReferenceProfile) -> None:
    failures = 0
    for seed in range(10, 30):
        failures += not all(_evaluate(reference, seed=seed).values())
    assert failures <= 1


def test_a_darker_night_fails_what_it_changes(reference: ReferenceProfile) -> None:
    expected = {"max_psi": False, "max_new": True, "max_slice_rise": False}
    assert _evaluate(reference, dark=0.7) == expected


def test_darkness_that_validation_knows_fails_nothing(daylight_reference: ReferenceProfile) -> None:
    assert all(_evaluate(daylight_reference, units=60, dark=0.25).values())
    assert not _evaluate(daylight_reference, units=60, dark=0.7)["max_slice_rise"]


def test_traffic_without_images_fulfills_every_condition(reference: ReferenceProfile) -> None:
    traffic = build_traffic(rows().iloc[:0])
    conditions = evaluate_conditions(compare_traffic(reference, traffic, LIMITS), LIMITS)
    assert all(item["passed"] for item in conditions)
    assert {item["value"] for item in conditions} == {0.0}


def test_a_condition_lists_what_exceeds_the_limit_beyond_chance_largest_first() -> None:
    findings = [_find(0.3, 0.01, "a"), _find(0.5, 0.01, "b"), _find(0.9, 0.2), _find(0.1, 0.01)]
    condition = evaluate_condition(FindingKind("max_x", "value", findings, "name"), 0.2, 0.05)
    assert not condition["passed"]
    exceeded = [(item["label"], item["value"]) for item in condition["exceeded"]]
    assert exceeded == [("b", 0.5), ("a", 0.3)]
    assert condition["value"] == 0.5
    assert condition["untested_reason"] is None


@pytest.mark.parametrize(
    ("findings", "value", "reason"),
    [
        ([], 0.0, None),
        ([_find(0.9, 0.2)], 0.0, None),
        ([_find(0.9, None)], None, TOO_FEW),
        ([_find(0.1, 0.01)], 0.1, None),
    ],
)
def test_chance_and_untested_findings_fail_nothing(
    findings: list[dict[str, Any]], value: float | None, reason: dict[str, Any] | None
) -> None:
    condition = evaluate_condition(FindingKind("max_x", "value", findings), 0.2, 0.05)
    assert condition["passed"]
    assert (condition["value"], condition["untested_reason"]) == (value, reason)
