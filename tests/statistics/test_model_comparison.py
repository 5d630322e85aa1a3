import numpy as np
import pytest

from pipeline.contracts import RecordContract
from pipeline.statistics.gains.harm_assessment import HarmMargins
from pipeline.statistics.model_comparison import (
    ModelComparison,
    ModelOutput,
    has_shown_harm,
    is_improved,
)

N = 400
GROUPS = np.repeat(np.arange(100), 4)
TRUTH = np.arange(N) % 2
DARK = GROUPS < 40


def _model(arm: str, seed: int | None, dark: float, lit: float) -> ModelOutput:
    """A model that errs on these shares of the images: whole groups share their fate to a part."""
    rng = np.random.default_rng(7)
    luck = 0.5 * rng.random(100)[GROUPS] + 0.5 * rng.random(N)
    wrong = luck < np.where(DARK, dark, lit)
    return ModelOutput(arm, seed, np.eye(2)[np.where(wrong, 1 - TRUTH, TRUTH)] * 4.0)


def _trial(targeted: float = 0.2, seeds: int = 1) -> ModelComparison:
    models = [_model("before", None, 0.5, 0.15)]
    models += [_model("control", k, 0.5, 0.15) for k in range(seeds)]
    models += [_model("targeted", k, targeted, 0.15) for k in range(seeds)]
    return ModelComparison(TRUTH, GROUPS, ["a", "b"], models, {"s1": DARK})


def test_a_repair_shows_in_its_slice() -> None:
    record = _trial().build_record(0.05)
    part = record["slices"][0]
    assert (part["slice"], part["n"], part["groups"]) == ("s1", 160, 40)
    assert part["passed"]
    assert part["gain"]["mean"] == pytest.approx(
        part["targeted"]["value"] - part["control"]["value"]
    )
    safety = _trial().build_safety_record(~DARK, HarmMargins())["safety"]
    assert list(safety) == ["before", "control"]
    assert all(item["overall_passed"] and item["screened"] for item in safety.values())
    assert set(record["arms"]) == {"before", "control", "targeted"}
    RecordContract(()).check_value("record", record, {})


def test_nothing_gained_is_within_noise() -> None:
    part = _trial(targeted=0.5).build_record(0.05)["slices"][0]
    assert not part["passed"]
    assert part["gain"]["within_noise"]


def test_seeds_are_listed_and_judged() -> None:
    record = _trial(seeds=3).build_record(0.05)
    assert [row["seed"] for row in record["arms"]["targeted"]] == [0, 1, 2]
    assert record["overall"]["gain"]["seeds_judged"]


def test_before_alone_has_no_gain() -> None:
    trial = ModelComparison(
        TRUTH, GROUPS, ["a", "b"], [_model("before", None, 0.5, 0.15)], {"s1": DARK}
    )
    record = trial.build_record(0.05)
    assert set(record["arms"]) == {"before"}
    assert record["overall"]["gain"] is None
    assert trial.build_safety_record(None, HarmMargins())["safety"] == {}
    assert record["slices"][0]["before"]["value"] < 0.8
    RecordContract(()).check_value("record", record, {})


def test_the_generic_arm_is_compared_with_the_targeted_one_on_the_same_images() -> None:
    trial = _trial(seeds=3)
    assert trial.compare_subset(DARK, 0.05)["over_generic"] is None
    generic = [_model("generic", k, 0.35, 0.15) for k in range(3)]
    both = ModelComparison(TRUTH, GROUPS, ["a", "b"], [*trial.models, *generic], {"s1": DARK})
    part = both.compare_subset(DARK, 0.05)
    assert part["over_generic"]["mean"] == pytest.approx(
        part["targeted"]["value"] - part["generic"]["value"]
    )
    assert 0 < part["over_generic"]["mean"] < part["gain"]["mean"]
    assert part["over_generic"]["seeds"] == 3
    assert len(both.build_record(0.05)["arms"]["generic"]) == 3


def test_costs_weigh_gains_and_margins_and_leave_accuracies() -> None:
    plain = _trial()
    cheap = ModelComparison(
        TRUTH, GROUPS, ["a", "b"], plain.models, {"s1": DARK}, [[0.0, 0.1], [1.0, 0.0]]
    )
    alike = ModelComparison(
        TRUTH, GROUPS, ["a", "b"], plain.models, {"s1": DARK}, [[0.0, 1.0], [1.0, 0.0]]
    )
    for inside in (DARK, ~DARK):
        assert alike.compare_subset(inside, 0.05) == plain.compare_subset(inside, 0.05)
    weighed, unweighed = cheap.compare_subset(DARK, 0.05), plain.compare_subset(DARK, 0.05)
    assert weighed["targeted"] == unweighed["targeted"]
    more = (
        plain.compute_correctness("targeted")[0].astype(int)
        - plain.compute_correctness("control")[0]
    )
    by_class = [float(more[DARK & (label == TRUTH)].mean()) for label in (0, 1)]
    assert weighed["gain"]["mean"] == pytest.approx(0.5 * (0.1 * by_class[0] + by_class[1]))


def test_the_champion_is_the_model_in_force_and_the_first_seed_would_replace_it() -> None:
    champion = _model("champion", None, 0.1, 0.1)
    trial = _trial(targeted=0.2, seeds=3)
    assert trial.arm_in_force == "before"
    rival = ModelComparison(TRUTH, GROUPS, ["a", "b"], [*trial.models, champion], {"s1": DARK})
    assert rival.arm_in_force == "champion"
    assert len(rival.pair_shipped("champion").treated) == 1
    assert len(rival.pair_shipped("control").treated) == 3
    part = rival.compare_subset(DARK, 0.05)
    assert part["gain"]["bound"] > 0, "better than the control"
    assert part["over"]["champion"]["mean"] < 0
    assert not part["passed"], "but not than the model in force"
    safety = rival.build_safety_record(~DARK, HarmMargins())["safety"]
    assert not safety["champion"]["overall_passed"]
    assert safety["before"]["overall_passed"]


def test_a_slice_that_did_not_improve_on_the_model_before_is_not_improved() -> None:
    good, none = {"bound": 0.1, "shipped": 0.2}, {"bound": 0.1, "shipped": 0.0}
    assert is_improved({"control": good, "before": good}, "before")
    assert not is_improved({"control": good, "before": none}, "before")
    assert not is_improved({"control": good, "before": none, "champion": good}, "champion")
    weak = {"bound": -0.1, "shipped": 0.2}
    assert not is_improved({"control": good, "before": weak}, "before")
    assert is_improved({"control": good, "before": weak}, "before", is_screening=True)


def test_in_a_slice_every_class_counts_alike() -> None:
    labels = np.where(np.arange(N) % 4 == 0, 1, 0)
    wrong = np.eye(2)[1 - labels] * 4.0
    models = [ModelOutput("before", None, wrong), ModelOutput("control", 0, wrong)]
    models.append(ModelOutput("targeted", 0, np.eye(2)[np.zeros(N, dtype=int)] * 4.0))
    trial = ModelComparison(labels, GROUPS, ["a", "b"], models, {"s1": DARK})
    part = trial.build_record(0.05)["slices"][0]
    assert part["targeted"]["value"] == pytest.approx(0.5)
    assert part["gain"]["mean"] == pytest.approx(0.5)


def test_harm_is_shown_by_any_part_and_never_by_what_was_not_opened() -> None:
    fine = {"status": "uncertain", "loss_probability": 0.6}
    shown = {"status": "harmed", "loss_probability": 0.97}
    record = {"outside": None, "classes": [fine], "slices": [], "slice_classes": [fine]}
    assert not has_shown_harm(None)
    assert not has_shown_harm({"safety": {}})
    assert not has_shown_harm({"safety": {"before": record}})
    assert has_shown_harm({"safety": {"before": record | {"outside": shown}}})
    assert has_shown_harm({"safety": {"before": record | {"slice_classes": [fine, shown]}}})
