from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.attributes import measure_images
from pipeline.learning.models.decision_module import (
    ContrastScaling,
    DecisionModule,
    ImageCorrection,
    ImageResampling,
    LookupTable,
    apply_pixel_transform,
    check_image_conditions,
)

RNG = np.random.default_rng(2)
PIXELS = RNG.integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
PIXELS[:3] //= 8
META: dict[str, Any] = {"mean": [0.5, 0.4, 0.3], "std": [0.5, 0.25, 0.2], "temperature": 2.0}


class Mean(nn.Module):
    """Scores: the mean of each normalized channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


def _scores(pixels: np.ndarray) -> np.ndarray:
    shares = pixels.astype(np.float64).mean((1, 2)) / 255
    return (shares - META["mean"]) / META["std"] / META["temperature"]


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _run_module(served: DecisionModule) -> list[np.ndarray]:
    return [part.numpy() for part in served(torch.from_numpy(PIXELS))]


def test_normalization_temperature_and_decline_are_inside() -> None:
    want = _softmax(_scores(PIXELS))
    threshold = float(np.sort(want.max(1))[2:4].mean())
    predicted, chance, is_answered, done = _run_module(DecisionModule(Mean(), META, [], threshold))
    np.testing.assert_allclose(chance, want, atol=1e-6)
    assert (predicted == want.argmax(1)).all()
    assert (is_answered == (want.max(1) >= threshold)).all()
    assert 0 < is_answered.sum() < 6
    assert (done == -1).all()
    assert not _run_module(DecisionModule(Mean(), META, [], None))[2].any(), (
        "no threshold: nobody is answered"
    )


def test_the_light_condition_is_checked_before_any_correction() -> None:
    levels = np.repeat(np.minimum(np.arange(256) * 4, 255).astype(np.uint8)[:, None], 3, axis=1)
    brighten = ImageCorrection((), LookupTable(levels))
    light = measure_images(PIXELS)["luminance"].to_numpy()
    least = float(light[:3].max()) + 1
    is_answered = _run_module(DecisionModule(Mean(), META, [brighten], 0.0, least))[2]
    assert is_answered.tolist() == [False] * 3 + [True] * 3


def test_the_first_correction_that_admits_a_image_is_made_and_no_other() -> None:
    levels = np.repeat(np.minimum(np.arange(256) * 4, 255).astype(np.uint8)[:, None], 3, axis=1)
    dark = ImageCorrection((("luminance", "<=", 40.0),), LookupTable(levels))
    every = ImageCorrection((), ContrastScaling(0.5))
    predicted, chance, _, done = _run_module(DecisionModule(Mean(), META, [dark, every], 0.5))
    assert done.tolist() == [0, 0, 0, 1, 1, 1]
    shown = np.concatenate(
        [
            levels[PIXELS[:3], 0],
            apply_pixel_transform(ContrastScaling(0.5), PIXELS[3:]).astype(np.uint8),
        ]
    )
    np.testing.assert_allclose(chance, _softmax(_scores(shown)), atol=1e-6)
    assert (predicted == chance.argmax(1)).all()


def test_resampling_takes_pixels_from_their_places() -> None:
    y, x = np.mgrid[0:16, 0:16].astype(float)
    mirrored = apply_pixel_transform(ImageResampling(np.stack([15 - x, y], -1)), PIXELS)
    assert (mirrored == PIXELS[:, :, ::-1]).all()
    half = apply_pixel_transform(
        ImageResampling(np.stack([np.minimum(x + 0.5, 15), y], -1)), PIXELS
    )
    between = (PIXELS[:, :, :-1].astype(float) + PIXELS[:, :, 1:]) / 2
    np.testing.assert_allclose(half[:, :, :-1], between, atol=0.5)


@pytest.mark.parametrize(
    ("op", "value", "want"),
    [
        ("<=", 40.0, [1, 1, 1, 0, 0, 0]),
        (">=", 40.0, [0, 0, 0, 1, 1, 1]),
        ("between", (10.0, 40.0), [1, 1, 1, 0, 0, 0]),
        ("between", (40.0, 10.0), [0, 0, 0, 1, 1, 1]),
    ],
)
def test_conditions(op: str, value: Any, want: list[int]) -> None:
    assert check_image_conditions([("luminance", op, value)], PIXELS).astype(int).tolist() == want
    both = [
        ("luminance", op, value),
        ("saturation", ">=", float(measure_images(PIXELS)["saturation"].median())),
    ]
    assert (
        check_image_conditions(both, PIXELS)
        == (np.array(want) > 0) & check_image_conditions(both[1:], PIXELS)
    ).all()


def test_what_cannot_be_measured_admits_nobody() -> None:
    plain = np.full((1, 16, 16, 3), 90, np.uint8)
    assert not check_image_conditions([("tilt", "<=", 100.0)], plain).any()
    assert not check_image_conditions([("tilt", ">=", -100.0)], plain).any()
