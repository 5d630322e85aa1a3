from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.learning import saliency
from pipeline.learning.saliency import NoMap, grad_cam, heat_maps

META = {"mean": [0.5] * 3, "std": [0.5] * 3, "classes": ["off", "on"]}


class Lamp(nn.Module):
    """Says "on" as much as there is red anywhere."""

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


def _photos() -> np.ndarray:
    photos = np.zeros((3, 32, 32, 3), np.uint8)
    photos[0, :8, :8, 0] = 255
    photos[1, -8:, -8:, 0] = 255
    photos[2, -8:, :8, 0] = 255
    return photos


def test_the_lamp_is_where_the_model_looks() -> None:
    maps = grad_cam(Lamp(), _photos(), np.array([1, 1, 1]), META, batch=2)
    assert maps.shape == (3, 32, 32)
    assert maps.dtype == np.uint8
    for heat, (y, x) in zip(maps, [(4, 4), (27, 27), (27, 4)], strict=True):
        assert heat[y, x] > 200
        assert heat[16, 16] < 50


def test_no_photos_no_maps() -> None:
    assert grad_cam(Lamp(), _photos()[:0], np.zeros(0, int), META).shape == (0, 32, 32)


def test_photos_too_small_for_any_map() -> None:
    with pytest.raises(NoMap, match="no convolution"):
        grad_cam(Lamp(), _photos()[:, :4, :4], np.array([1, 1, 1]), META)


def test_each_model_has_its_map_and_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loaded: list[str] = []

    def load(folder: Path, file: str) -> tuple[nn.Module, dict[str, object]]:
        loaded.append(Path(file).name)
        return Lamp(), dict(META)

    monkeypatch.setattr(saliency, "load_model", load)
    same, other = np.array([[1, 1]] * 3), np.array([[1, 0]] * 3)
    twice = heat_maps([(tmp_path, Path("a")), (tmp_path, Path("a"))], _photos(), same)
    assert (twice[:, 0] == twice[:, 1]).all()
    assert loaded == ["a"]
    changed = heat_maps([(tmp_path, Path("a")), (tmp_path, Path("b"))], _photos(), other)
    assert loaded == ["a", "a", "b"]
    assert changed.shape == (3, 2, 32, 32)
    assert (changed[:, 0] != changed[:, 1]).any()
