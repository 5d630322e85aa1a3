"""Recomputed statistics of batch norm: pipeline/learning/training/batch_statistics.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.learning.training.batch_statistics import STATISTICS_BATCH_SIZE, recompute_statistics
from tests.learning.drawn import MODEL_META, draw_images


class _NormedColors(nn.Module):
    """Batch norm of the plain pixels, so that its statistics are known."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Tensor:
        normed: Tensor = self.norm(images)
        return normed.mean((2, 3))


def _darken(rows: NDArray[np.intp], pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    return np.asarray(pixels // 4, dtype=np.uint8)


def test_statistics_become_those_of_the_treated_training_images() -> None:
    model = _NormedColors().eval()
    images = draw_images(STATISTICS_BATCH_SIZE)
    expected = (images.load_pixels() // 4).astype(float) / 255 / 0.5 - 1
    recompute_statistics(model, MODEL_META, images, _darken, 0)
    means = model.norm.running_mean
    variances = model.norm.running_var
    assert means is not None
    assert variances is not None
    np.testing.assert_allclose(means.numpy(), expected.mean((0, 1, 2)), atol=2e-3)
    np.testing.assert_allclose(variances.numpy(), expected.var((0, 1, 2)), rtol=1e-2)
    assert not model.norm.training
    assert model.norm.momentum == 0.1


def test_the_result_depends_on_the_arguments_alone() -> None:
    images = draw_images(100)
    first, second = _NormedColors(), _NormedColors()
    second.norm(torch.rand(4, 3, 8, 8))
    for model in (first, second):
        recompute_statistics(model, MODEL_META, images, None, 3)
    assert first.norm.running_mean is not None
    assert second.norm.running_mean is not None
    assert torch.equal(first.norm.running_mean, second.norm.running_mean)


def test_a_network_without_batch_norm_is_left_as_it_is() -> None:
    model: Any = nn.Sequential(nn.Flatten(), nn.LazyLinear(2))
    model(torch.rand(1, 3, 32, 32))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    recompute_statistics(model, MODEL_META, draw_images(8), None, 0)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
