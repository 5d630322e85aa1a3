from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.serving.monitoring.prediction_rows import build_traffic
from pipeline.slices.tracking.reference_profile import ReferenceProfile
from pipeline.slices.tracking.traffic_comparison import (
    ArrivedTraffic,
    TrafficLimits,
    compare_share,
    compare_traffic,
    evaluate_conditions,
)
from pipeline.statistics.distribution_shift import ShiftEvidence
from tests.arrivals import bundle, rows

LIMITS = TrafficLimits.model_validate({})


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> ReferenceProfile:
    return ReferenceProfile.load_bundle(bundle(tmp_path_factory.mktemp("b")))


def _traffic(known: ReferenceProfile, table: pd.DataFrame) -> ArrivedTraffic:
    return build_traffic(table, known, ["badge", "none"], "rows")


def _judged(known: ReferenceProfile, table: pd.DataFrame) -> tuple[dict[str, Any], dict[str, bool]]:
    found = compare_traffic(known, _traffic(known, table), LIMITS)
    return found, {item["name"]: item["passed"] for item in evaluate_conditions(found, LIMITS)}


def test_more_of_the_same_fails_nothing(known: ReferenceProfile) -> None:
    failed = [not all(_judged(known, rows(seed=seed))[1].values()) for seed in range(10, 30)]
    assert sum(failed) <= 1


def test_a_darker_night_is_a_slice_that_grew_and_an_attribute_that_drifted(
    known: ReferenceProfile,
) -> None:
    found, passed = _judged(known, rows(dark=0.7))
    assert passed == {"max_psi": False, "max_new": True, "max_slice_rise": False}
    assert found["attributes"][0]["attribute"] == "luminance"
    assert found["attributes"][0]["psi"] > 0.5
    assert found["slices"][0]["rise"] == pytest.approx(0.5, abs=0.15)
    assert {r["attribute"] for r in found["attributes"] if r["q"] <= 0.05} == {"luminance"}
    assert (found["units"], found["basis"]) == (40, "groups")


def test_darker_than_any_in_training_is_said_in_words(known: ReferenceProfile) -> None:
    table = rows()
    table.loc[table.index < 30, "luminance"] = 4.0
    table.loc[table.index < 30, "slices"] = "s1: luminance <= 50"
    found, passed = _judged(known, table)
    assert not passed["max_new"]
    new = found["new"][0]
    assert (new["words"], new["images"], new["share"]) == ("dark", 30, 30 / 80)
    assert (new["low"], new["high"]) == ("4", "4")
    assert new["where"].startswith("29.3")
    assert new["q"] < 0.001
    words = evaluate_conditions(found, LIMITS)[1]["words"]
    assert words == "images beyond everything known: dark 37.5%; at most 5.0% (max_new)"


def test_hours_that_training_never_saw_are_new_and_one_image_beyond_is_no_alarm(
    known: ReferenceProfile,
) -> None:
    table = rows()
    table["hour"] = 2.0
    found, passed = _judged(known, table)
    assert [r["words"] for r in found["new"] if r["attribute"] == "hour"] == ["hour unlike any"]
    assert not passed["max_new"]
    lone = rows()
    lone.loc[0, "luminance"] = 250.0
    found, passed = _judged(known, lone)
    assert [r["words"] for r in found["new"]] == ["bright", "sharp"]
    assert [r["images"] for r in found["new"]] == [1, 1]
    assert all(passed.values())


def test_frames_of_one_visit_prove_nothing(known: ReferenceProfile) -> None:
    table = rows(dark=1.0).assign(group="one visit")
    found, passed = _judged(known, table)
    assert all(passed.values())
    assert found["attributes"][0]["reason"] == "1 units; 10 would do"
    assert "not judged: 1 units; 10 would do" in evaluate_conditions(found, LIMITS)[0]["words"]


def test_what_the_rows_lack_is_not_compared(known: ReferenceProfile) -> None:
    table = rows().drop(columns="hour")
    table["sharpness"] = np.nan
    found, _ = _judged(known, table)
    assert found["missing"] == ["hour"]
    sharp = next(r for r in found["attributes"] if r["attribute"] == "sharpness")
    assert (sharp["psi"], sharp["known"], sharp["reason"]) == (None, 0.0, "unknown of what arrived")


def test_further_tests_share_the_false_discovery_rate(known: ReferenceProfile) -> None:
    traffic = _traffic(known, rows(dark=0.7))
    declined = compare_share(known, traffic, "declined", ShiftEvidence())
    assert declined["q"] is None
    compare_traffic(known, traffic, LIMITS, [declined])
    assert declined["q"] >= declined["p"]
    assert declined["share"] > declined["validation"] + 0.15


def test_traffic_like_validation_is_known_though_training_was_by_day(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    by_day = ReferenceProfile.load_bundle(bundle(tmp_path_factory.mktemp("day"), day=True))
    found, passed = _judged(by_day, rows(units=60, dark=0.25))
    assert all(passed.values())
    assert found["slices"][0]["training"] == 0.0
    assert found["slices"][0]["validation"] > 0.1
    light = next(r for r in found["attributes"] if r["attribute"] == "luminance")
    assert light["psi"] == light["psi_validation"] < light["psi_training"]
    assert not _judged(by_day, rows(units=60, dark=0.7))[1]["max_slice_rise"]
