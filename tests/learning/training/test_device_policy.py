from typing import Any

import pytest
import torch

from pipeline.learning.training.device_policy import (
    DeviceInfo,
    PrecisionPolicy,
    choose_precision,
    create_loss_scaler,
    describe_device,
    is_compiling_worthwhile,
)
from pipeline.learning.training_settings import FitSettings
from tests.learning.drawn import draw_images
from tests.learning.small_training import create_training_run

GB = 2**30
CPU = DeviceInfo()
P100 = DeviceInfo((6, 0), 16 * GB)
V100 = DeviceInfo((7, 0), 16 * GB)
T4 = DeviceInfo((7, 5), 16 * GB)
A100 = DeviceInfo((8, 0), 16 * GB)
H100 = DeviceInfo((9, 0), 16 * GB)
FLOAT16_POLICY = PrecisionPolicy(torch.float16, is_loss_scaled=True, is_data_resident=True)
BFLOAT16_POLICY = PrecisionPolicy(torch.bfloat16, is_tf32_allowed=True, is_data_resident=True)


@pytest.mark.parametrize(
    ("device_info", "policy"),
    [
        (CPU, PrecisionPolicy()),
        (P100, PrecisionPolicy(is_data_resident=True)),
        (V100, FLOAT16_POLICY),
        (T4, FLOAT16_POLICY),
        (A100, BFLOAT16_POLICY),
        (H100, BFLOAT16_POLICY),
    ],
)
def test_the_compute_capability_decides_the_policy(
    device_info: DeviceInfo, policy: PrecisionPolicy
) -> None:
    assert choose_precision(device_info, 8 * GB) == policy


def test_images_are_resident_if_they_fit_in_half_of_the_memory() -> None:
    assert choose_precision(A100, 8 * GB).is_data_resident
    assert not choose_precision(A100, 8 * GB + 1).is_data_resident
    assert not choose_precision(CPU, 0).is_data_resident


def test_compiling_is_worthwhile_for_a_long_training_on_a_capable_gpu() -> None:
    assert is_compiling_worthwhile(A100, 100_000, 0.05)
    assert not is_compiling_worthwhile(A100, 1_000, 0.05)
    assert not is_compiling_worthwhile(P100, 100_000, 0.05)
    assert not is_compiling_worthwhile(CPU, 10**9, 1.0)


def test_the_cpu_has_no_compute_capability() -> None:
    assert describe_device(torch.device("cpu")) == CPU


def _train_six_steps(
    precision: PrecisionPolicy, loss_scaler: Any = None
) -> tuple[list[float], torch.Tensor]:
    """Return the losses and the weights after six steps."""
    settings = FitSettings(
        recipe="bare",
        batch_size=16,
        optimizer="sgd",
        learning_rate=0.05,
        warmup_share=0,
        max_shift=0,
    )
    training_run = create_training_run(
        draw_images(64),
        settings,
        "test_vit",
        precision=precision,
        loss_scaler=loss_scaler or create_loss_scaler(precision),
    )
    losses = []
    for step in range(6):
        loss, _ = training_run.run_step(step, training_run.prepare_shard(step)())
        losses.append(float(loss))
    return losses, torch.cat(
        [weight.detach().flatten() for weight in training_run.model.parameters()]
    )


def test_half_precision_and_a_scaled_loss_train_nearly_the_same_weights() -> None:
    losses, weights = _train_six_steps(PrecisionPolicy())
    half_losses, half_weights = _train_six_steps(PrecisionPolicy(torch.bfloat16))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    scaled_losses, scaled_weights = _train_six_steps(PrecisionPolicy(), scaler)
    assert half_losses != losses
    assert half_losses == pytest.approx(losses, abs=0.03)
    assert torch.allclose(half_weights, weights, atol=0.03)
    assert scaled_losses == pytest.approx(losses, abs=1e-4)
    assert torch.allclose(scaled_weights, weights, atol=1e-4)
