"""The image side that a training can afford."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.contracts import InputError
from pipeline.learning.models import side_choice
from pipeline.learning.models.side_choice import (
    TrainingPlan,
    choose_affordable_side,
    choose_side,
    find_model_side,
    measure_step_seconds,
)

BACKBONE = "tf_efficientnet_lite0"
SIDES = (64, 96, 128, 160, 192, 224)


def _make_plan(minutes: float = 20.0, backbone: str = BACKBONE, model: str = "new") -> TrainingPlan:
    return TrainingPlan(minutes, 1000, 8000, 1.0, backbone, model)


def test_more_minutes_never_choose_a_smaller_side() -> None:
    chosen = [choose_affordable_side(SIDES, 0.01, _make_plan(m)) for m in (1, 2, 4, 8, 1000)]
    assert [choice.side for choice in chosen] == sorted(choice.side for choice in chosen)
    assert chosen[0].side < chosen[-1].side == 224
    for choice in chosen[1:]:
        assert choice.minutes is not None
        if choice.larger_minutes is not None:
            assert choice.minutes <= choice.larger_minutes
    assert chosen[-1].larger_side is None


def test_a_budget_for_one_epoch_only_gets_the_smallest_side_and_says_its_time() -> None:
    epoch_minutes = 1000 * 0.01 * (64 / 96) ** (2 * side_choice.AREA_EXPONENT) / 60
    choice = choose_affordable_side(SIDES, 0.01, _make_plan(1.01 * epoch_minutes))
    assert choice.side == 64
    assert choice.minutes == pytest.approx(8 * epoch_minutes)
    with pytest.raises(InputError, match=r"train\.minutes: .*1,000 images"):
        choose_affordable_side(SIDES, 0.01, _make_plan(0.99 * epoch_minutes))


def test_the_step_of_the_network_is_measured() -> None:
    assert measure_step_seconds(BACKBONE, 32) > 0


def test_a_network_of_one_size_gets_that_size() -> None:
    assert choose_side([64], _make_plan(backbone="vit_tiny_patch16_224")).side == 224


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(InputError, match=r"train\.backbone: .*did you mean"):
        choose_side([64], _make_plan(backbone="tf_efficientnet_lite9"))


class _Pooling(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))[:, :2]


def test_a_program_fixes_the_side_that_it_was_exported_for(tmp_path: Path) -> None:
    file = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(_Pooling(), (torch.zeros(2, 3, 48, 48),)), file)
    assert find_model_side(_make_plan(model=str(file)), tmp_path / "run") == 48
    assert find_model_side(_make_plan(), tmp_path / "run") is None
    assert find_model_side(_make_plan(model="champion"), tmp_path / "run") is None
