from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.contracts import InputError
from pipeline.learning.models.backbone import build_network
from pipeline.learning.training import training_loop as module
from pipeline.learning.training.batch_sampling import TrainingImages
from pipeline.learning.training.training_loop import FitResult, fit_network
from pipeline.learning.training.training_phases import (
    WeightAverage,
    compute_image_side,
    resize_images,
    set_training_mode,
)
from pipeline.learning.training_settings import FitSettings
from tests.learning.drawn import draw

ALL = FitSettings(
    epochs=5,
    learning_rate=4e-3,
    batch_size=16,
    evaluation_interval=6,
    ema_decay=0.9,
    initial_side_share=0.5,
    frozen_share=0.3,
)


def _fit(scratch: Path, settings: FitSettings, **more: Any) -> FitResult:
    model, meta = build_network("test_efficientnet", "none", ["lying", "standing"], 32, 0.2)
    return fit_network(model, meta, draw(96), settings, seed=0, scratch_folder=scratch, **more)


def _same(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(v, theirs[k]) for k, v in one.state_dict().items())


def test_images_grow_to_their_side() -> None:
    settings = FitSettings(initial_side_share=0.5)
    sides = [compute_image_side(step, 100, 64, settings) for step in range(100)]
    assert sides[0] == 32
    assert sides == sorted(sides)
    assert set(sides) == {32, 40, 48, 56, 64}
    assert set(sides[75:]) == {64}
    assert {compute_image_side(step, 10, 33, FitSettings()) for step in range(10)} == {33}
    x = torch.rand(2, 3, 32, 32)
    assert resize_images(x, 32) is x
    assert resize_images(x, 16).mean() == pytest.approx(float(x.mean()), abs=0.01)


def test_a_frozen_network_learns_in_its_head_alone() -> None:
    model, _ = build_network("test_efficientnet", "none", ["a", "b"], 32, 0.0)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    set_training_mode(model, is_frozen=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    torch.autograd.backward(model(torch.rand(4, 3, 32, 32)).sum())
    optimizer.step()
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {"classifier.weight", "classifier.bias"}
    set_training_mode(model, is_frozen=False)
    torch.autograd.backward(model(torch.rand(4, 3, 32, 32)).sum())
    assert all(p.grad is not None for p in model.parameters())


def test_the_mean_follows_fast_at_first_and_slowly_later() -> None:
    model = nn.Linear(1, 1, bias=False)

    def at(value: float, step: int) -> float:
        nn.init.constant_(model.weight, value)
        mean.update_average(model, step)
        return mean.module.weight.item()

    mean = WeightAverage(model, 0.99)
    assert at(0.0, 0) == 0.0
    assert at(1.0, 1) == pytest.approx(1 - 2 / 11)
    before = mean.module.weight.item()
    assert at(0.0, 10_000) == pytest.approx(0.99 * before)


def test_all_of_it_resumes_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {"holdout": draw(20, seed=1)}
    whole = _fit(tmp_path / "whole", ALL, **more)
    monkeypatch.setattr(module, "CHECKPOINT_INTERVAL", 4)

    def until(last: int) -> Any:
        def track(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
            for item in items:
                if item == last:
                    raise KeyboardInterrupt
                yield item

        return track

    for last in (9, 23):  # frozen up to step 12
        with pytest.raises(KeyboardInterrupt):
            _fit(tmp_path / "cut", ALL, track=until(last), **more)
    resumed = _fit(tmp_path / "cut", ALL, **more)
    assert _same(whole.model, resumed.model)
    assert whole.history.equals(resumed.history)
    for setting, plain in (("ema", 0.0), ("small", 1.0), ("frozen", 0.0)):
        other = _fit(tmp_path / setting, ALL.model_copy(update={setting: plain}), **more)
        assert not _same(whole.model, other.model), setting


def test_the_mean_is_what_is_judged_and_given_back(tmp_path: Path) -> None:
    seen: list[Tensor] = []
    settings = FitSettings(
        epochs=2, batch_size=16, ema_decay=0.5, evaluation_interval=1, patience=99
    )
    model, meta = build_network("test_efficientnet", "none", ["lying", "standing"], 32, 0.0)

    def track(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        for item in items:
            yield item
            seen.append(model.get_parameter("classifier.weight").detach().clone())

    fitted = fit_network(
        model, meta, draw(96), settings, seed=0, scratch_folder=tmp_path, track=track
    )
    mean = seen[0]
    for step, weight in enumerate(seen[1:], 1):
        decay = min(0.5, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * weight
    assert torch.allclose(fitted.model.get_parameter("classifier.weight"), mean, atol=1e-6)


def test_a_network_of_one_side_cannot_grow(tmp_path: Path) -> None:
    images: TrainingImages = draw(16)
    model, meta = build_network("test_vit", "none", ["lying", "standing"], 32, 0.0)
    with pytest.raises(InputError, match=r"train\.small: test_vit takes images of one side only"):
        fit_network(
            model,
            meta,
            images,
            FitSettings(initial_side_share=0.5),
            seed=0,
            scratch_folder=tmp_path,
        )
