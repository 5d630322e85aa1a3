from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.contracts import InputError
from pipeline.learning.models.backbone import build_network
from pipeline.learning.training import training_loop
from pipeline.learning.training.training_loop import fit_network
from pipeline.learning.training.training_phases import (
    WeightAverage,
    adapt_to_network,
    compute_image_side,
    resize_images,
    set_training_mode,
)
from pipeline.learning.training_settings import PROGRAM_BACKBONE, FitSettings
from tests.learning.drawn import MODEL_META, draw_images
from tests.learning.small_training import (
    TrainingKilled,
    copy_weights,
    fit_small_network,
    has_same_weights,
    kill_at,
)

ALL_PHASES = FitSettings(
    recipe="bare",
    epochs=5,
    learning_rate=4e-3,
    batch_size=16,
    evaluation_interval=6,
    ema_decay=0.9,
    initial_side_share=0.5,
    frozen_share=0.3,
)


def test_images_grow_to_their_full_side() -> None:
    settings = FitSettings(recipe="bare", initial_side_share=0.5)
    sides = [compute_image_side(step, 100, 64, settings) for step in range(100)]
    assert sides[0] == 32
    assert sides == sorted(sides)
    assert set(sides) == {32, 40, 48, 56, 64}
    assert set(sides[75:]) == {64}
    assert {compute_image_side(step, 10, 33, FitSettings(recipe="bare")) for step in range(10)} == {
        33
    }


def test_images_are_resized_only_to_another_side() -> None:
    images = torch.rand(2, 3, 32, 32)
    assert resize_images(images, 32) is images
    resized = resize_images(images, 16)
    assert resized.shape == (2, 3, 16, 16)
    assert resized.mean() == pytest.approx(float(images.mean()), abs=0.01)


def test_a_frozen_network_trains_its_head_alone() -> None:
    model, _ = build_network("test_efficientnet", "none", ["a", "b"], 32, 0.0)
    before = copy_weights(model)
    set_training_mode(model, is_frozen=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    torch.autograd.backward(model(torch.rand(4, 3, 32, 32)).sum())
    optimizer.step()
    after = copy_weights(model)
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed == {"classifier.weight", "classifier.bias"}
    set_training_mode(model, is_frozen=False)
    torch.autograd.backward(model(torch.rand(4, 3, 32, 32)).sum())
    assert all(weight.grad is not None for weight in model.parameters())


def test_the_weight_average_follows_fast_at_first_and_slowly_later() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = WeightAverage(model, 0.99)

    def average_after(value: float, step: int) -> float:
        nn.init.constant_(model.weight, value)
        average.update_average(model, step)
        return average.module.weight.item()

    assert average_after(0.0, 0) == 0.0
    second = average_after(1.0, 1)
    assert second == pytest.approx(1 - 2 / 11)
    assert average_after(0.0, 10_000) == pytest.approx(0.99 * second)


def test_a_training_with_all_phases_resumes_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = draw_images(96)
    holdout = draw_images(20, seed=1)
    whole = fit_small_network(images, tmp_path / "whole", ALL_PHASES, holdout=holdout)
    monkeypatch.setattr(training_loop, "CHECKPOINT_INTERVAL", 4)
    cut_folder = tmp_path / "cut"
    for killed_step in (9, 23):  # the backbone is frozen before step 12
        with pytest.raises(TrainingKilled):
            fit_small_network(
                images, cut_folder, ALL_PHASES, holdout=holdout, track=kill_at(killed_step)
            )
    resumed = fit_small_network(images, cut_folder, ALL_PHASES, holdout=holdout)
    assert has_same_weights(whole.model, resumed.model)
    assert whole.history.equals(resumed.history)


@pytest.mark.parametrize(
    ("key", "neutral"), [("ema_decay", 0.0), ("initial_side_share", 1.0), ("frozen_share", 0.0)]
)
def test_each_phase_changes_the_model(key: str, neutral: float, tmp_path: Path) -> None:
    images = draw_images(96)
    settings = FitSettings.model_validate(ALL_PHASES.model_dump() | {key: neutral})
    with_phase = fit_small_network(images, tmp_path / "with", ALL_PHASES)
    without_phase = fit_small_network(images, tmp_path / "without", settings)
    assert not has_same_weights(with_phase.model, without_phase.model)


def test_the_weight_average_is_returned(tmp_path: Path) -> None:
    step_weights: list[Tensor] = []
    settings = FitSettings(
        recipe="bare", epochs=2, batch_size=16, ema_decay=0.5, evaluation_interval=1, patience=99
    )
    model, meta = build_network("test_efficientnet", "none", MODEL_META["classes"], 32, 0.0)

    def record_weights(steps: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        for step in steps:
            yield step
            step_weights.append(model.get_parameter("classifier.weight").detach().clone())

    result = fit_network(
        model,
        meta,
        draw_images(96),
        settings,
        seed=0,
        scratch_folder=tmp_path,
        track=record_weights,
    )
    average = step_weights[0]
    for step, weight in enumerate(step_weights[1:], 1):
        decay = min(0.5, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weight
    trained = result.model.get_parameter("classifier.weight")
    assert torch.allclose(trained, average, atol=1e-6)


def test_a_network_with_a_fixed_side_cannot_grow(tmp_path: Path) -> None:
    model, meta = build_network("test_vit", "none", MODEL_META["classes"], 32, 0.0)
    settings = FitSettings(recipe="bare", initial_side_share=0.5)
    with pytest.raises(InputError, match=r"train\.initial_side_share: test_vit takes images of"):
        fit_network(model, meta, draw_images(16), settings, seed=0, scratch_folder=tmp_path)


def test_a_smaller_training_side_is_used_where_the_network_takes_any() -> None:
    settings = FitSettings(training_side_share=0.75)
    assert {compute_image_side(step, 10, 224, settings) for step in range(10)} == {168}
    assert adapt_to_network("test_efficientnet", settings) == settings
    for backbone in ("test_vit", PROGRAM_BACKBONE):
        assert adapt_to_network(backbone, settings).training_side_share == 1
