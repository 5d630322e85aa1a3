import numpy as np
import pytest

from pipeline.contracts import Record
from pipeline.evidence.paired import Margins
from pipeline.evidence.trial import Judged, Trial

N = 400
GROUPS = np.repeat(np.arange(100), 4)
TRUTH = np.arange(N) % 2
DARK = GROUPS < 40


def _model(arm: str, seed: int | None, dark: float, lit: float) -> Judged:
    """A model that errs on these shares of the photos: whole groups share their fate to a part."""
    rng = np.random.default_rng(7)
    luck = 0.5 * rng.random(100)[GROUPS] + 0.5 * rng.random(N)
    wrong = luck < np.where(DARK, dark, lit)
    return Judged(arm, seed, np.eye(2)[np.where(wrong, 1 - TRUTH, TRUTH)] * 4.0)


def _trial(targeted: float = 0.2, seeds: int = 1) -> Trial:
    models = [_model("before", None, 0.5, 0.15)]
    models += [_model("control", k, 0.5, 0.15) for k in range(seeds)]
    models += [_model("targeted", k, targeted, 0.15) for k in range(seeds)]
    return Trial(TRUTH, GROUPS, ["a", "b"], models, {"s1": DARK})


def test_a_repair_shows_in_its_slice() -> None:
    record = _trial().record(0.05, Margins())
    part = record["slices"][0]
    assert (part["slice"], part["n"], part["groups"]) == ("s1", 160, 40)
    assert part["passed"]
    assert part["gain"]["mean"] == pytest.approx(part["targeted"]["value"] - part["control"]["value"])
    assert part["mcnemar"]["decides"] is False
    assert record["non_inferiority"]["passed"]
    assert set(record["arms"]) == {"before", "control", "targeted"}
    Record(()).check("record", record, {})


def test_nothing_gained_is_within_noise() -> None:
    part = _trial(targeted=0.5).record(0.05, Margins())["slices"][0]
    assert not part["passed"]
    assert part["gain"]["within_noise"]


def test_seeds_are_listed_and_judged() -> None:
    record = _trial(seeds=3).record(0.05, Margins())
    assert [row["seed"] for row in record["arms"]["targeted"]] == [0, 1, 2]
    assert record["overall"]["gain"]["seeds_judged"]
    assert not record["overall"]["first_seed"]["seeds_judged"]


def test_before_alone_has_no_gain() -> None:
    trial = Trial(TRUTH, GROUPS, ["a", "b"], [_model("before", None, 0.5, 0.15)], {"s1": DARK})
    record = trial.record(0.05, Margins())
    assert set(record["arms"]) == {"before"}
    assert record["overall"]["gain"] is None
    assert record["non_inferiority"] is None
    assert record["slices"][0]["before"]["value"] < 0.8
    Record(()).check("record", record, {})


def test_the_generic_arm_is_compared_with_the_targeted_one_on_the_same_photos() -> None:
    trial = _trial(seeds=3)
    assert trial.part(DARK, 0.05)["over_generic"] is None
    generic = [_model("generic", k, 0.35, 0.15) for k in range(3)]
    both = Trial(TRUTH, GROUPS, ["a", "b"], [*trial.models, *generic], {"s1": DARK})
    part = both.part(DARK, 0.05)
    assert part["over_generic"]["mean"] == pytest.approx(part["targeted"]["value"] - part["generic"]["value"])
    assert 0 < part["over_generic"]["mean"] < part["gain"]["mean"]
    assert part["over_generic"]["seeds"] == 3
    assert len(both.record(0.05, Margins())["arms"]["generic"]) == 3


def test_costs_weigh_gains_and_margins_and_leave_accuracies() -> None:
    plain = _trial()
    cheap = Trial(TRUTH, GROUPS, ["a", "b"], plain.models, {"s1": DARK}, [[0.0, 0.1], [1.0, 0.0]])
    alike = Trial(TRUTH, GROUPS, ["a", "b"], plain.models, {"s1": DARK}, [[0.0, 1.0], [1.0, 0.0]])
    for inside in (DARK, ~DARK):
        assert alike.part(inside, 0.05) == plain.part(inside, 0.05)
    weighed, unweighed = cheap.part(DARK, 0.05), plain.part(DARK, 0.05)
    assert weighed["targeted"] == unweighed["targeted"]
    more = plain.correct("targeted")[0].astype(int) - plain.correct("control")[0]
    by_class = [float(more[DARK & (label == TRUTH)].mean()) for label in (0, 1)]
    assert weighed["gain"]["mean"] == pytest.approx(0.5 * (0.1 * by_class[0] + by_class[1]))
    assert cheap.worse(0.05, Margins()).overall.mean < plain.worse(0.05, Margins()).overall.mean
