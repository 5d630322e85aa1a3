from typing import Any

import numpy as np

from pipeline.statistics.classification.selective_prediction import DeclineStatus
from pipeline.statistics.classification.served_decisions import (
    choose_decline_rules,
    evaluate_corrections,
    mark_declined_images,
)
from pipeline.statistics.model_comparison import ModelComparison, ModelOutput

N = 200
GROUPS = np.repeat(np.arange(100), 2)
TRUTH = np.arange(N) % 2
DARK = GROUPS < 40


def _judged(arm: str, seed: int | None, wrong: np.ndarray, sure: float = 4.0) -> ModelOutput:
    predictions = np.where(wrong, 1 - TRUTH, TRUTH)
    return ModelOutput(arm, seed, np.eye(2)[predictions] * np.where(wrong, 1.0, sure)[:, None])


def _trial(*, compared: bool = True) -> ModelComparison:
    models = [_judged("before", None, DARK & (GROUPS % 2 == 0))]
    if compared:
        models += [_judged("control", 0, DARK), _judged("targeted", 0, GROUPS == 0, sure=3.0)]
    return ModelComparison(TRUTH, GROUPS, ["a", "b"], models)


def test_each_arm_that_may_be_in_force_has_a_decline_rule_of_its_own() -> None:
    rules = choose_decline_rules(_trial(), _trial(), 0.05)
    assert set(rules) == {"before", "targeted"}
    assert rules["before"]["coverage"] == 0.8
    assert rules["targeted"]["coverage"] == 1.0
    assert rules["before"]["threshold"] > rules["targeted"]["threshold"]
    assert rules["targeted"]["test"]["coverage"] == 1.0
    assert rules["targeted"]["test"]["error"]["value"] == 0.01
    assert choose_decline_rules(_trial(), None, 0.05)["before"]["test"] is None
    assert set(choose_decline_rules(_trial(compared=False), None, 0.05)) == {"before"}


def test_each_split_uses_the_light_of_its_images() -> None:
    light = np.where(DARK, 10.0, 100.0)
    sure = [_judged("before", None, DARK & (np.arange(N) % 2 == 0), sure=1.0)]
    trial = ModelComparison(TRUTH, GROUPS, ["a", "b"], sure)
    rule = choose_decline_rules(trial, None, 0.2, (light, None))["before"]
    assert (rule["light"], rule["coverage"], rule["error"]) == (100.0, 0.6, 0)
    refuted = choose_decline_rules(trial, trial, 0.2, (light, light[::-1]))["before"]
    assert refuted["test"]["coverage"] == 0.6
    assert refuted["test"]["error"]["value"] > 0.2, "the bright images of test are others"
    assert (refuted["status"], refuted["is_refuted"]) == (DeclineStatus.LEFT_OUT, True)
    assert not mark_declined_images(trial, {"before": refuted}, light)["before"].any()


def test_a_correction_is_evaluated_for_each_arm_on_its_images() -> None:
    calls: list[tuple[str, int]] = []

    def predict_corrected(arm: str, item: dict[str, Any], inside: np.ndarray) -> np.ndarray:
        calls.append((arm, int(inside.sum())))
        assert item["strength"] == 3.0
        right = TRUTH[inside]
        predicted = (
            right if arm == "before" else np.where(np.arange(len(right)) < 40, 1 - right, right)
        )
        return np.eye(2)[predicted] * 9.0

    item = {"slice": "s1", "strength": 3.0}
    rows, served = evaluate_corrections(
        _trial(), {"s1": DARK, "s2": ~DARK}, [item], predict_corrected
    )
    assert calls == [("before", 80), ("targeted", 80)]
    before, targeted = rows
    assert (before["helps"], targeted["helps"]) == (True, False)
    assert before["gain"]["value"] == 0.5
    assert targeted["gain"]["value"] < 0
    assert served.compute_correctness("before").all()  # corrected where that helps
    np.testing.assert_array_equal(
        served.select_arm("targeted")[0].logits, _trial().select_arm("targeted")[0].logits
    )
    assert (
        evaluate_corrections(_trial(), {"s1": np.zeros(N, dtype=bool)}, [item], predict_corrected)[
            0
        ]
        == []
    )


def test_the_decline_rule_applies_to_corrected_predictions() -> None:
    """Corrections chosen on val are applied on test; the first of an image counts."""

    def predict_corrected(arm: str, item: dict[str, Any], inside: np.ndarray) -> np.ndarray:
        return np.eye(2)[TRUTH[inside]] * item["strength"]

    masks = {"s1": DARK, "s2": GROUPS < 60}
    items = [{"slice": "s1", "strength": 5.0}, {"slice": "s2", "strength": 7.0}]
    rows, served = evaluate_corrections(_trial(), masks, items, predict_corrected)
    assert [(row["slice"], row["arm"]) for row in rows if row["helps"]] == [
        ("s1", "before"),
        ("s2", "before"),
    ]
    sure = served.select_arm("before")[0].logits.max(1)
    assert set(sure[DARK]) == {5.0}
    assert set(sure[(GROUPS >= 40) & (GROUPS < 60)]) == {7.0}
    rules = choose_decline_rules(served, served, 0.05)
    assert rules["before"]["coverage"] == rules["before"]["test"]["coverage"] == 1
    assert choose_decline_rules(_trial(), None, 0.05)["before"]["coverage"] == 0.8
    assert not mark_declined_images(served, rules)["before"].any()
    assert mark_declined_images(_trial(), rules)["before"].sum() == 40
    assert mark_declined_images(_trial(), {arm: {"threshold": None} for arm in rules})[
        "before"
    ].all()
    _, corrected_comparison = evaluate_corrections(
        _trial(), masks, items, predict_corrected, helpful_corrections={("s2", "before")}
    )
    assert set(corrected_comparison.select_arm("before")[0].logits[DARK].max(1)) == {7.0}
