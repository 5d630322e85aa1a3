from typing import Any

import pytest
import torch

from pipeline.learning.models.backbone import build_network
from pipeline.learning.training.batch_sources import create_batch_source
from pipeline.learning.training.device_policy import (
    DeviceInfo,
    PrecisionPolicy,
    choose_precision,
    create_loss_scaler,
    describe_device,
    is_compiling_worthwhile,
)
from pipeline.learning.training.training_step import TrainingRun, TrainingSchedule, create_optimizer
from pipeline.learning.training_settings import FitSettings
from tests.learning.drawn import META, draw

GB = 2**30
P100, V100, T4, A100, H100 = (
    DeviceInfo(c, 16 * GB) for c in ((6, 0), (7, 0), (7, 5), (8, 0), (9, 0))
)


@pytest.mark.parametrize(
    ("card", "wanted"),
    [
        (DeviceInfo(), PrecisionPolicy()),
        (P100, PrecisionPolicy(is_data_resident=True)),
        (V100, PrecisionPolicy(torch.float16, is_loss_scaled=True, is_data_resident=True)),
        (T4, PrecisionPolicy(torch.float16, is_loss_scaled=True, is_data_resident=True)),
        (A100, PrecisionPolicy(torch.bfloat16, is_tf32_allowed=True, is_data_resident=True)),
        (H100, PrecisionPolicy(torch.bfloat16, is_tf32_allowed=True, is_data_resident=True)),
    ],
)
def test_means_follow_the_card(card: DeviceInfo, wanted: PrecisionPolicy) -> None:
    assert choose_precision(card, 8 * GB) == wanted


def test_images_that_do_not_fit_stay_where_they_are() -> None:
    assert choose_precision(A100, 8 * GB).is_data_resident
    assert not choose_precision(A100, 8 * GB + 1).is_data_resident
    assert not choose_precision(DeviceInfo(), 0).is_data_resident


def test_compiling_pays_for_a_long_training_on_a_card_that_can() -> None:
    assert is_compiling_worthwhile(A100, 100_000, 0.05)
    assert not is_compiling_worthwhile(A100, 1_000, 0.05)
    assert not is_compiling_worthwhile(P100, 100_000, 0.05)
    assert not is_compiling_worthwhile(DeviceInfo(), 10**9, 1.0)


def test_this_machine_is_read() -> None:
    assert describe_device(torch.device("cpu")) == DeviceInfo()


def _learnt(use: PrecisionPolicy, **more: Any) -> tuple[list[float], torch.Tensor]:
    settings = FitSettings(
        batch_size=16, optimizer="sgd", learning_rate=0.05, warmup_share=0, max_shift=0
    )
    model, _ = build_network("test_vit", "none", META["classes"], 32, 0.0)
    images = draw(64)
    optimizer = create_optimizer(model, settings)
    source = create_batch_source(images, META, settings, None, use)
    schedule = TrainingSchedule(settings, 64)
    scaler = more.pop("scaler", create_loss_scaler(use))
    course = TrainingRun(
        model, model.train(), optimizer, META, images, schedule, None, source, 0, print, use, scaler
    )
    losses = [float(course.run_step(step, course.prepare_shard(step)())[0]) for step in range(6)]
    return losses, torch.cat([p.detach().flatten() for p in model.parameters()])


def test_half_precision_and_a_scaled_loss_learn_the_same_within_a_tolerance() -> None:
    plain, weights = _learnt(PrecisionPolicy())
    half, near = _learnt(PrecisionPolicy(torch.bfloat16))
    scaled, same = _learnt(
        PrecisionPolicy(), scaler=torch.amp.GradScaler("cpu", init_scale=2.0**10)
    )
    assert half != plain
    assert half == pytest.approx(plain, abs=0.03)
    assert torch.allclose(near, weights, atol=0.03)
    assert scaled == pytest.approx(plain, abs=1e-4)
    assert torch.allclose(same, weights, atol=1e-4)
