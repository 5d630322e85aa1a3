from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.contracts import InputError
from pipeline.learning.models.backbone import build_network, move_to_device
from pipeline.learning.training.batch_sampling import TrainingImages
from pipeline.learning.training.batch_sources import create_batch_source
from pipeline.learning.training.device_policy import PrecisionPolicy
from pipeline.learning.training.training_step import (
    TrainingRun,
    TrainingSchedule,
    compute_class_weights,
    create_optimizer,
)
from pipeline.learning.training_settings import FitSettings
from tests.learning.drawn import META, draw


class Scarce(nn.Module):
    """A network on a device whose memory holds so many images at most."""

    def __init__(self, network: nn.Module, most: int) -> None:
        super().__init__()
        self.network, self.most = network, most

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.most:
            raise torch.OutOfMemoryError(f"{len(x)} images")
        out: Tensor = self.network(x)
        return out


def _course(
    most: int, settings: FitSettings, name: str = "test_vit"
) -> tuple[TrainingRun, list[str]]:
    said: list[str] = []
    network, _ = build_network(name, "none", META["classes"], 32, 0.0)
    images = draw(90)
    rare = TrainingImages(images.pixels, images.image_rows, np.where(np.arange(90) % 5, 0, 1))
    optimizer = create_optimizer(move_to_device(network), settings)
    weights = compute_class_weights(rare, 2, settings)
    scarce = Scarce(network.train(), most)
    source = create_batch_source(rare, META, settings, None, PrecisionPolicy())
    return TrainingRun(
        network,
        scarce,
        optimizer,
        META,
        rare,
        TrainingSchedule(settings, 90),
        weights,
        source,
        0,
        said.append,
    ), said


@pytest.mark.parametrize("weighted", [False, True])
def test_out_of_memory_is_answered_by_parts_with_the_same_gradients(weighted: bool) -> None:
    """Layer norm, not batch norm: the same but for rounding; eleven images divide unevenly."""
    settings = FitSettings(
        batch_size=11, optimizer="sgd", learning_rate=0.1, class_weights=weighted, warmup_share=0
    )
    (whole, silent), (scarce, said) = (_course(most, settings) for most in (11, 3))
    for step in range(3):
        one, other = (
            course.run_step(step, course.prepare_shard(step)()) for course in (whole, scarce)
        )
        assert torch.allclose(one, other, atol=1e-5)
    for a, b in zip(whole.model.parameters(), scarce.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    assert (silent, len(said), scarce.portion_count) == ([], 2, 4)
    assert "learnt in 4 parts" in said[-1]


def test_a_image_that_does_not_fit_is_said() -> None:
    course, _ = _course(0, FitSettings(batch_size=8))
    with pytest.raises(InputError, match="one image is too much for the memory"):
        course.run_step(0, course.prepare_shard(0)())


def test_class_weights_make_up_for_rarity() -> None:
    images = draw(8)
    rare = TrainingImages(images.pixels, images.image_rows, np.array([0] * 6 + [1] * 2))
    weight = compute_class_weights(rare, 3, FitSettings(class_weights=True))
    assert weight is not None
    assert weight.tolist() == pytest.approx([8 / 12, 2.0, 0.0])
    assert compute_class_weights(rare, 3, FitSettings()) is None


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    schedule = TrainingSchedule(
        FitSettings(image_passes=1600, batch_size=16, warmup_share=0.1, learning_rate=1.0), 1000
    )
    rates = [schedule.compute_learning_rate(step) for step in range(schedule.step_count)]
    assert len(rates) == 100
    assert int(np.argmax(rates)) == 10
    assert max(rates) == 1.0
    assert (np.diff(rates[:11]) > 0).all()
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[-1] < 0.001


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_norms_and_biases_are_exempt_from_decay(optimizer: Any) -> None:
    model, _ = build_network("test_efficientnet", "none", ["a", "b"], 32, 0.0)
    made = create_optimizer(model, FitSettings(optimizer=optimizer, weight_decay=0.3))
    decay = {id(p): g["weight_decay"] for g in made.param_groups for p in g["params"]}
    assert all(decay[id(p)] == (0.3 if p.ndim > 1 else 0.0) for p in model.parameters())
