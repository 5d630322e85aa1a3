from typing import Any

from pipeline.domain.statuses import ModelOrigin
from pipeline.report.sentences.training_sentences import describe_seed_stages, describe_training

TRAINED = {
    "origin": ModelOrigin.TRAINED,
    "model_file": None,
    "best_step": 200,
    "overfitting_from": None,
    "accuracy_gap": 0.04,
    "is_gap_wide": False,
}


def _describe(**changes: Any) -> str:
    return describe_training(TRAINED | changes)


def test_overfitting_is_told_with_its_step_gap_and_kept_weights() -> None:
    text = _describe(overfitting_from=300)
    for part in ("step 300", "4.0 points", "step 200"):
        assert part in text


def test_a_wide_gap_is_told_apart_from_none() -> None:
    narrow, wide = _describe(), _describe(accuracy_gap=0.29, is_gap_wide=True)
    assert "4.0 points" in narrow
    assert "29.0 points" in wide
    assert narrow.split(":")[0] != wide.split(":")[0]


def test_without_a_holdout_no_number_is_told() -> None:
    text = _describe(accuracy_gap=None)
    assert "no holdout" in text
    assert "points" not in text


def test_a_model_taken_over_is_named() -> None:
    assert "champion" in _describe(origin=ModelOrigin.CHAMPION)
    assert _describe(origin=ModelOrigin.USER_FILE, model_file="gate.onnx").startswith("gate.onnx")


def test_missing_seeds_and_the_cost_of_the_arms_are_described() -> None:
    seeds = {
        "outcome": "futile",
        "trained": 2,
        "planned": 3,
        "conditional_power": 0.034,
        "passes": 1600,
    }
    text = describe_seed_stages(seeds, 800)
    assert "2 of 3 seeds" in text
    assert "3 %" in text.replace("\u202f", " ").replace("\xa0", " ")
    assert "2.0 times" in text
    assert "seeds" not in describe_seed_stages(seeds | {"outcome": "complete"}, 800)
    assert describe_seed_stages(None, 800) == describe_seed_stages(seeds | {"passes": 0}, 800) == ""
