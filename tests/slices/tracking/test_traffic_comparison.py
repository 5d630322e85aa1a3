from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.slices.tracking.reference_profile import ReferenceProfile
from pipeline.slices.tracking.traffic_comparison import (
    compare_share,
    compare_traffic,
    list_shared_attributes,
)
from pipeline.slices.tracking.traffic_conditions import TrafficLimits
from pipeline.statistics.distribution_shift import ShiftEvidence
from pipeline.statistics.untestable_reasons import UntestableKind, UntestableReason
from tests.arrivals import rows
from tests.slices.tracking.conftest import build_traffic

LIMITS = TrafficLimits.model_validate({})


def _compare(reference: ReferenceProfile, predictions: pd.DataFrame) -> dict[str, Any]:
    return compare_traffic(reference, build_traffic(predictions), LIMITS)


def _find_attribute(comparison: dict[str, Any], name: str) -> dict[str, Any]:
    (row,) = [row for row in comparison["attributes"] if row["attribute"] == name]
    return row


def test_a_darker_night_is_a_larger_slice_and_a_shifted_attribute(
    reference: ReferenceProfile,
) -> None:
    comparison = _compare(reference, rows(dark=0.7))
    (dark,) = comparison["slices"]
    assert (dark["slice"], dark["rule"]) == ("s1", "luminance <= 50")
    assert dark["rise"] == pytest.approx(0.5, abs=0.15)
    assert dark["q"] <= LIMITS.alpha
    first = comparison["attributes"][0]
    assert (first["attribute"], first["psi"] > 0.5) == ("luminance", True)
    shifted = {row["attribute"] for row in comparison["attributes"] if row["q"] <= LIMITS.alpha}
    assert shifted == {"luminance"}
    assert (comparison["units"], comparison["basis"]) == (40, "groups")


def test_one_visit_is_too_little_for_any_test(reference: ReferenceProfile) -> None:
    comparison = _compare(reference, rows(dark=1.0).assign(group="one visit"))
    luminance = _find_attribute(comparison, "luminance")
    assert luminance["psi"] > LIMITS.max_psi
    assert (luminance["p"], luminance["q"]) == (None, None)
    reason = UntestableReason(UntestableKind.TOO_FEW_UNITS, 1, 10)
    assert luminance["reason"] == reason.build_record()


def test_attributes_that_the_traffic_lacks_are_missing_or_unknown(
    reference: ReferenceProfile,
) -> None:
    predictions = rows().drop(columns="hour").assign(sharpness=np.nan)
    comparison = _compare(reference, predictions)
    assert comparison["missing"] == ["hour"]
    assert list_shared_attributes(reference, build_traffic(predictions)) == [
        name for name in reference.summary["spans"] if name != "hour"
    ]
    sharpness = _find_attribute(comparison, "sharpness")
    assert (sharpness["psi"], sharpness["known"], sharpness["median"]["arrived"]) == (None, 0, None)


def test_counts_and_medians_are_those_of_each_side(reference: ReferenceProfile) -> None:
    luminance = _find_attribute(_compare(reference, rows(dark=0.0)), "luminance")
    known = reference.split_tables
    assert sum(luminance["counts"]["training"]) == len(known["training"])
    assert sum(luminance["counts"]["arrived"]) == 80
    assert luminance["median"]["validation"] == f"{known['validation']['luminance'].median():.4g}"
    assert len(luminance["edges"]) + 1 == len(luminance["counts"]["arrived"])


def test_the_median_of_hours_is_their_direction_on_the_clock(reference: ReferenceProfile) -> None:
    predictions = rows()
    predictions["hour"] = np.where(np.arange(len(predictions)) % 2, 23.0, 1.0)
    median = _find_attribute(_compare(reference, predictions), "hour")["median"]["arrived"]
    hour = float(median)
    assert min(hour, 24 - hour) < 0.01


def test_further_tests_share_the_false_discovery_rate(reference: ReferenceProfile) -> None:
    traffic = build_traffic(rows(dark=0.7))
    declined = compare_share(reference, traffic, "declined", ShiftEvidence())
    assert declined["q"] is None
    compare_traffic(reference, traffic, LIMITS, [declined])
    assert declined["q"] > declined["p"]
    assert declined["share"] > declined["validation"] + 0.15
    assert declined["training"] is None, "no decision is known of training images"
    assert declined["rise"] == pytest.approx(declined["share"] - declined["validation"])


def test_traffic_like_validation_is_known_though_training_has_no_dark_image(
    daylight_reference: ReferenceProfile,
) -> None:
    comparison = _compare(daylight_reference, rows(units=60, dark=0.25))
    (dark,) = comparison["slices"]
    assert dark["training"] == 0.0
    assert dark["validation"] > 0.1
    assert dark["rise"] == pytest.approx(dark["share"] - dark["validation"])
    luminance = _find_attribute(comparison, "luminance")
    assert luminance["psi"] == luminance["psi_validation"] < luminance["psi_training"]


def test_a_slice_without_a_column_in_the_traffic_is_not_compared(
    reference: ReferenceProfile,
) -> None:
    traffic = build_traffic(rows())
    del traffic.table["slice s1"]
    assert compare_traffic(reference, traffic, LIMITS)["slices"] == []
