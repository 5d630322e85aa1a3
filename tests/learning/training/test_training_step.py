import copy
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision
from scipy.special import softmax
from torch import Tensor, nn

from pipeline.contracts import InputError
from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.distributed import prepare_device, set_up_model, use_fabric
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.training.training_step import (
    TrainingRun,
    find_black_images,
    is_compiling_worthwhile,
)
from pipeline.learning.training_settings import FitSettings
from tests.learning.drawn import MODEL_META, draw_images
from tests.learning.small_training import create_training_run


class _LimitedMemoryNetwork(nn.Module):
    """A network on a device whose memory holds a limited number of images."""

    def __init__(self, network: nn.Module, image_limit: int) -> None:
        super().__init__()
        self.network = network
        self.image_limit = image_limit

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.image_limit:
            raise torch.OutOfMemoryError(f"{len(images)} images")
        logits: Tensor = self.network(images)
        return logits


def _create_training_run(image_limit: int, settings: FitSettings) -> tuple[TrainingRun, list[str]]:
    """Return a training with layer norm, and the list of its notes."""
    notes: list[str] = []
    drawn = draw_images(90)
    labels = np.where(np.arange(90) % 5, 0, 1)
    images = TrainingImages(drawn.pixels, drawn.image_rows, labels)
    training_run = create_training_run(images, settings, "test_vit", report_note=notes.append)
    limited_network = _LimitedMemoryNetwork(training_run.model, image_limit)
    training_run.wrapped_model = set_up_model(limited_network)
    return training_run, notes


@pytest.mark.parametrize("class_balance", ["none", "loss", "logits"])
def test_out_of_memory_divides_the_batch_and_keeps_the_gradients(
    class_balance: Literal["none", "loss", "logits"],
) -> None:
    """With layer norm the gradients are the same but for rounding; 11 images divide unevenly."""
    settings = FitSettings(
        recipe="bare",
        batch_size=11,
        optimizer="sgd",
        learning_rate=0.1,
        class_balance=class_balance,
        warmup_share=0,
    )
    whole_run, whole_notes = _create_training_run(11, settings)
    limited_run, limited_notes = _create_training_run(3, settings)
    for step in range(3):
        whole_metrics = whole_run.run_step(step, whole_run.prepare_shard(step)())
        limited_metrics = limited_run.run_step(step, limited_run.prepare_shard(step)())
        assert torch.allclose(whole_metrics, limited_metrics, atol=1e-5)
    for whole_weight, limited_weight in zip(
        whole_run.model.parameters(), limited_run.model.parameters(), strict=True
    ):
        assert torch.allclose(whole_weight, limited_weight, atol=1e-5)
    assert whole_notes == []
    assert limited_run.portion_count == 4
    assert len(limited_notes) == 2
    assert "4 portions" in limited_notes[-1]


def test_logit_adjustment_learns_equally_frequent_classes() -> None:
    """The labels have nothing to do with the images, and one in ten is of the rare class."""
    drawn = draw_images(100)
    images = replace(drawn, labels=np.where(np.arange(100) % 10, 0, 1))
    shares = {}
    choices: tuple[Literal["none", "logits"], ...] = ("none", "logits")
    for class_balance in choices:
        settings = FitSettings(
            recipe="bare",
            image_passes=600,
            batch_size=20,
            learning_rate=3e-3,
            class_balance=class_balance,
        )
        training_run = create_training_run(images, settings)
        training_run.begin_phase(0)
        for step in range(training_run.schedule.step_count):
            training_run.run_step(step, training_run.prepare_shard(step)())
        logits = compute_logits(training_run.model.eval(), images.pixels, training_run.meta)
        shares[class_balance] = float(softmax(logits, axis=1)[:, 1].mean())
    assert shares["none"] < 0.25
    assert shares["logits"] > 0.35


def test_a_single_image_that_does_not_fit_is_an_input_error() -> None:
    training_run, _ = _create_training_run(0, FitSettings(recipe="bare", batch_size=8))
    with pytest.raises(InputError, match=r"train\.batch_size: .* smaller .*backbone"):
        training_run.run_step(0, training_run.prepare_shard(0)())


def test_finite_losses_are_returned_as_numbers() -> None:
    training_run, _ = _create_training_run(11, FitSettings(recipe="bare"))
    metrics = [torch.tensor([0.5, 1.0]), torch.tensor([0.25, 0.5])]
    assert training_run.check_losses(metrics, 2) == [[0.5, 1.0], [0.25, 0.5]]
    assert training_run.check_losses([], 2) == []


def test_the_first_batch_with_an_infinite_loss_is_named() -> None:
    training_run, _ = _create_training_run(11, FitSettings(recipe="bare"))
    metrics = [torch.tensor([0.5, 1.0]), torch.tensor([torch.nan, 0.5])]
    with pytest.raises(InputError, match="the loss is nan at step 7 on image row") as caught:
        training_run.check_losses(metrics, 8)
    assert training_run.select_batch(7).format_image_ids() in str(caught.value)


@pytest.mark.parametrize("image_limit", [11, 3])
def test_distillation_keeps_the_prediction_of_the_start(image_limit: int) -> None:
    """Labels contradict the start: with its prediction in the target it moves less."""
    moves = {}
    for share in (0.0, 0.9):
        settings = FitSettings(
            recipe="bare",
            batch_size=11,
            optimizer="sgd",
            learning_rate=0.1,
            warmup_share=0,
            label_smoothing=0,
            distillation=share,
        )
        training_run, _ = _create_training_run(image_limit, settings)
        if share:
            training_run.start_model = copy.deepcopy(training_run.model).eval()
        pixels = torch.rand(8, 3, 32, 32)
        with torch.no_grad():
            before = training_run.model.eval()(pixels).softmax(1)
        for step in range(4):
            training_run.run_step(step, training_run.prepare_shard(step)())
        with torch.no_grad():
            moves[share] = float((training_run.model.eval()(pixels).softmax(1) - before).norm())
    assert 0 < moves[0.9] < 0.5 * moves[0.0]


def test_of_a_black_image_the_earlier_prediction_is_the_whole_target() -> None:
    levels = torch.tensor([0.0, 10.0, 200.0]).view(3, 1, 1, 1).expand(3, 3, 16, 16)
    inputs = (levels / 255 - 0.5) / 0.5
    assert find_black_images(inputs, MODEL_META).tolist() == [True, True, False]
    assert not find_black_images(torch.zeros(2, 7), MODEL_META).any()


def test_the_labels_of_black_images_teach_nothing() -> None:
    settings = FitSettings(recipe="bare", batch_size=8, distillation=0.3)
    weights = []
    for label in (0, 1):
        pixels = np.full((8, 32, 32, 3), 3, np.uint8)
        images = TrainingImages(pixels, np.arange(8), np.full(8, label))
        training_run = create_training_run(images, settings)
        training_run.start_model = copy.deepcopy(training_run.model).eval()
        training_run.begin_phase(0)
        training_run.run_step(0, training_run.prepare_shard(0)())
        weights.append(training_run.model.state_dict())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


def test_compiling_is_worthwhile_for_a_long_training_on_a_capable_gpu() -> None:
    assert is_compiling_worthwhile((8, 0), 100_000, 0.05)
    assert not is_compiling_worthwhile((8, 0), 1_000, 0.05)
    assert not is_compiling_worthwhile((6, 0), 100_000, 0.05)
    assert not is_compiling_worthwhile(None, 10**9, 1.0)


def _train_six_steps(fabric: Fabric) -> tuple[list[float], Tensor]:
    """Return the losses and the weights after six steps."""
    settings = FitSettings(
        recipe="bare",
        batch_size=16,
        optimizer="sgd",
        learning_rate=0.05,
        warmup_share=0,
        max_shift=0,
    )
    with use_fabric(fabric):
        training_run = create_training_run(draw_images(64), settings, "test_vit")
        losses = []
        for step in range(6):
            loss, _ = training_run.run_step(step, training_run.prepare_shard(step)())
            losses.append(float(loss))
    weights = [weight.detach().flatten() for weight in training_run.model.parameters()]
    return losses, torch.cat(weights)


def test_half_precision_and_a_scaled_loss_train_nearly_the_same_weights() -> None:
    losses, weights = _train_six_steps(Fabric(accelerator="cpu"))
    half_losses, half_weights = _train_six_steps(Fabric(accelerator="cpu", precision="bf16-mixed"))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    scaled = MixedPrecision("16-mixed", "cpu", scaler)
    scaled_losses, scaled_weights = _train_six_steps(Fabric(accelerator="cpu", plugins=scaled))
    assert half_losses != losses
    assert half_losses == pytest.approx(losses, abs=0.03)
    assert torch.allclose(half_weights, weights, atol=0.03)
    assert scaled_losses == pytest.approx(losses, abs=0.01)
    assert torch.allclose(scaled_weights, weights, atol=0.01)


def test_each_training_begins_with_the_same_scale_of_the_loss() -> None:
    fabric = Fabric(accelerator="cpu", plugins=MixedPrecision("16-mixed", "cpu"))
    first_scale = fabric.strategy.precision.state_dict()["scale"]
    fabric.strategy.precision.load_state_dict(
        {**fabric.strategy.precision.state_dict(), "scale": first_scale / 8}
    )
    with use_fabric(fabric):
        prepare_device()
    assert fabric.strategy.precision.state_dict()["scale"] == first_scale
