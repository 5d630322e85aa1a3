from typing import Literal

import numpy as np
import pytest

from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.models.backbone import build_network
from pipeline.learning.training.training_setup import (
    TrainingSchedule,
    compute_class_log_priors,
    compute_class_weights,
    create_optimizer,
)
from pipeline.learning.training_settings import FitSettings


def test_class_weights_are_inverse_frequencies() -> None:
    labels = np.array([0] * 6 + [1] * 2)
    images = TrainingImages(np.zeros((8, 4, 4, 3), np.uint8), np.arange(8), labels)
    weights = compute_class_weights(images, 3, FitSettings(recipe="bare", class_balance="loss"))
    assert weights is not None
    assert weights.tolist() == pytest.approx([8 / 12, 2.0, 0.0])
    assert float(weights[labels].mean()) == pytest.approx(1.0)
    assert compute_class_weights(images, 3, FitSettings(recipe="bare")) is None


def test_logit_adjustment_adds_the_log_of_class_frequencies() -> None:
    labels = np.array([0] * 6 + [1] * 2)
    images = TrainingImages(np.zeros((8, 4, 4, 3), np.uint8), np.arange(8), labels)
    priors = compute_class_log_priors(images, 3, FitSettings(recipe="bare", class_balance="logits"))
    assert priors is not None
    assert priors.exp().tolist() == pytest.approx([6 / 8, 2 / 8, 1 / 8])
    assert compute_class_log_priors(images, 3, FitSettings(recipe="bare")) is None


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    settings = FitSettings(
        recipe="bare", image_passes=1600, batch_size=16, warmup_share=0.1, learning_rate=1.0
    )
    schedule = TrainingSchedule(settings, 1000)
    rates = [schedule.compute_learning_rate(step) for step in range(schedule.step_count)]
    assert len(rates) == 100
    assert int(np.argmax(rates)) == 10
    assert max(rates) == 1.0
    assert (np.diff(rates[:11]) > 0).all()
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[-1] < 0.001


def test_image_passes_replace_epochs() -> None:
    by_epochs = TrainingSchedule(FitSettings(recipe="bare", epochs=3, batch_size=10), 100)
    by_passes = TrainingSchedule(
        FitSettings(recipe="bare", epochs=3, image_passes=500, batch_size=10), 100
    )
    assert by_epochs.step_count == 30
    assert by_passes.step_count == 50


@pytest.mark.parametrize(("interval", "expected"), [(0, 13), (7, 7)])
def test_the_default_interval_gives_eight_evaluations(interval: int, expected: int) -> None:
    settings = FitSettings(
        recipe="bare", image_passes=1000, batch_size=10, evaluation_interval=interval
    )
    assert TrainingSchedule(settings, 100).evaluation_interval == expected


@pytest.mark.parametrize("optimizer_name", ["adamw", "sgd"])
def test_norms_and_biases_are_exempt_from_weight_decay(
    optimizer_name: Literal["adamw", "sgd"],
) -> None:
    model, _ = build_network("test_efficientnet", "none", ["a", "b"], 32, 0.0)
    optimizer = create_optimizer(
        model, FitSettings(recipe="bare", optimizer=optimizer_name, weight_decay=0.3)
    )
    decay_by_id = {}
    for group in optimizer.param_groups:
        for weight in group["params"]:
            decay_by_id[id(weight)] = group["weight_decay"]
    for weight in model.parameters():
        assert decay_by_id[id(weight)] == (0.3 if weight.ndim > 1 else 0.0)
