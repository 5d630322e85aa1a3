"""Averages of weights and points between them: pipeline/learning/models/weight_mixing.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import build_network, load_model, save_model
from pipeline.learning.models.weight_mixing import WeightMix, average_weights, interpolate_weights
from tests.learning.drawn import draw_images

CLASS_NAMES = ["lying", "standing"]


def test_the_average_is_the_mean_of_floats_and_keeps_counters() -> None:
    one = {"weight": torch.tensor([0.0, 2.0]), "steps": torch.tensor(3)}
    other = {"weight": torch.tensor([1.0, 6.0]), "steps": torch.tensor(9)}
    average = average_weights([one, other])
    assert average["weight"].tolist() == [0.5, 4.0]
    assert average["weight"].dtype == torch.float32
    assert average["steps"].item() == 3


def test_a_share_lies_on_the_line_between_both() -> None:
    start = {"weight": torch.tensor([0.0, 2.0]), "steps": torch.tensor(3)}
    end = {"weight": torch.tensor([1.0, 6.0]), "steps": torch.tensor(9)}
    mixed = interpolate_weights(start, end, 0.25)
    assert mixed["weight"].tolist() == [0.25, 3.0]
    assert mixed["steps"].item() == 9
    assert interpolate_weights(start, end, 1.0)["weight"].tolist() == [1.0, 6.0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, file in enumerate(("model", "one", "other")):
        model, meta = build_network("test_efficientnet", "none", CLASS_NAMES, 32, 0.0, seed=seed)
        save_model(tmp_path, model, meta, f"{file}.safetensors")
    return tmp_path


def test_a_mix_predicts_as_its_ends_do(folder: Path) -> None:
    pixels = draw_images(6).load_pixels()
    one, other = folder / "one.safetensors", folder / "other.safetensors"

    def predict(mix: WeightMix) -> np.ndarray:
        model, meta = mix.load_model(folder)
        return compute_logits(model, pixels, meta)

    def predict_file(file: str) -> np.ndarray:
        model, meta = load_model(folder, file)
        return compute_logits(model, pixels, meta)

    start = folder / "model.safetensors"
    np.testing.assert_array_equal(predict(WeightMix(start, (one,), 1.0)), predict_file(one.name))
    before = predict(WeightMix(start, (one, other), 0.0))
    np.testing.assert_allclose(before, predict_file(start.name), atol=1e-6)
    first = predict(WeightMix(start, (one, other), 0.5))
    np.testing.assert_array_equal(first, predict(WeightMix(start, (other, one), 0.5)))
    assert np.abs(first - before).max() > 1e-4
