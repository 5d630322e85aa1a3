from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.learning.inference import saliency_maps
from pipeline.learning.inference.saliency_maps import (
    NoHeatMapError,
    compute_grad_cam,
    compute_heat_maps,
)

META = {"mean": [0.5] * 3, "std": [0.5] * 3, "classes": ["off", "on"]}


class Lamp(nn.Module):
    """Scores "on" by the amount of red anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
        self.deep = nn.Conv2d(4, 4, 3, stride=16, padding=1, bias=False)  # 1 x 1: shows nothing
        with torch.no_grad():
            self.features.weight.zero_()
            self.features.weight[:, 0] = 1.0
            self.deep.weight.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = torch.relu(self.features(x))
        self.deep(seen)
        on = seen.mean((1, 2, 3))
        return torch.stack([-on, on], 1)


def _images() -> np.ndarray:
    images = np.zeros((3, 32, 32, 3), np.uint8)
    images[0, :8, :8, 0] = 255
    images[1, -8:, -8:, 0] = 255
    images[2, -8:, :8, 0] = 255
    return images


def test_the_lamp_is_where_the_model_looks() -> None:
    maps = compute_grad_cam(Lamp(), _images(), np.array([1, 1, 1]), META, batch_size=2)
    assert maps.shape == (3, 32, 32)
    assert maps.dtype == np.uint8
    for heat, (y, x) in zip(maps, [(4, 4), (27, 27), (27, 4)], strict=True):
        assert heat[y, x] > 200
        assert heat[16, 16] < 50


def test_no_images_no_maps() -> None:
    assert compute_grad_cam(Lamp(), _images()[:0], np.zeros(0, int), META).shape == (0, 32, 32)


def test_images_too_small_for_any_map() -> None:
    with pytest.raises(NoHeatMapError, match="no convolution"):
        compute_grad_cam(Lamp(), _images()[:, :4, :4], np.array([1, 1, 1]), META)


def test_each_model_has_its_map_and_is_not_run_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loaded: list[str] = []

    def load(folder: Path, file: str) -> tuple[nn.Module, dict[str, object]]:
        loaded.append(Path(file).name)
        return Lamp(), dict(META)

    monkeypatch.setattr(saliency_maps, "load_model", load)
    same, other = np.array([[1, 1]] * 3), np.array([[1, 0]] * 3)
    twice = compute_heat_maps([(tmp_path, Path("a")), (tmp_path, Path("a"))], _images(), same)
    assert (twice[:, 0] == twice[:, 1]).all()
    assert loaded == ["a"]
    changed = compute_heat_maps([(tmp_path, Path("a")), (tmp_path, Path("b"))], _images(), other)
    assert loaded == ["a", "a", "b"]
    assert changed.shape == (3, 2, 32, 32)
    assert (changed[:, 0] != changed[:, 1]).any()
