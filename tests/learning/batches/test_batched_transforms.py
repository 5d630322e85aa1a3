"""Batched remedies against those of `pipeline.remedies` at the same strength."""

import cv2
import numpy as np
import pytest
import torch

from pipeline import plugins
from pipeline.learning.batches.batched_transforms import BATCH_REMEDIES
from pipeline.remedies import apply_remedy

EXACT_REMEDIES = {
    "exposure",
    "gamma",
    "color_cast",
    "fog",
    "horizontal_flip",
    "vertical_flip",
    "quarter_turns",
}
RANDOM_REMEDIES = {"noise", "low_light"}
"""Remedies with more random draws than their strength; their results agree in distribution."""


def _draw_textures(count: int = 8, side: int = 48) -> np.ndarray:
    rng = np.random.default_rng(5)
    coarse = rng.uniform(20, 200, (count, 6, 6, 3)).astype(np.float32)
    smooth = np.stack([cv2.resize(c, (side, side), interpolation=cv2.INTER_CUBIC) for c in coarse])
    return np.clip(np.rint(smooth + rng.normal(0, 2, smooth.shape)), 0, 255).astype(np.uint8)


def _convert_to_tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float()


def _apply_batched(name: str, pixels: np.ndarray, strength: float, seed: int = 1) -> np.ndarray:
    strengths = torch.full((len(pixels),), strength)
    treated = BATCH_REMEDIES[name](_convert_to_tensor(pixels), strengths, seed)
    assert torch.equal(treated, treated.round())
    assert 0 <= float(treated.min()) <= float(treated.max()) <= 255
    return treated.permute(0, 2, 3, 1).numpy()


def _list_strengths(name: str) -> tuple[float, ...]:
    return tuple(plugins.load_plugin("remedies", name).STRENGTHS) or (0.12, 0.5, 0.9)


@pytest.mark.parametrize("name", sorted(set(BATCH_REMEDIES) - RANDOM_REMEDIES))
def test_a_batched_remedy_does_what_the_remedy_does(name: str) -> None:
    pixels = _draw_textures()
    largest_difference, mean_difference = (1, 0.05) if name in EXACT_REMEDIES else (12, 0.6)
    for strength in _list_strengths(name):
        batched = _apply_batched(name, pixels, strength)
        single = apply_remedy(name, pixels, strength, strength, seed=1).astype(float)
        difference = np.abs(batched - single)
        change = np.abs(single - pixels).mean()
        assert difference.max() <= largest_difference, strength
        assert difference.mean() <= mean_difference, strength
        assert difference.mean() < 0.2 * change, strength


@pytest.mark.parametrize("name", sorted(RANDOM_REMEDIES))
def test_a_random_batched_remedy_has_the_same_distribution(name: str) -> None:
    copies = 60
    pixels = np.repeat(_draw_textures(2, 32), copies, axis=0)
    for strength in _list_strengths(name):
        batched = _apply_batched(name, pixels, strength)
        single = apply_remedy(name, pixels, strength, strength, seed=1).astype(float)
        for start in range(0, 2 * copies, copies):
            batched_copies = batched[start : start + copies]
            single_copies = single[start : start + copies]
            deviation = single_copies.mean((1, 2, 3)).std()
            tolerance = 3 * deviation * np.sqrt(2 / copies) + 0.3
            assert abs(batched_copies.mean() - single_copies.mean()) < tolerance
            expected_noise = single_copies.std(0).mean()
            assert batched_copies.std(0).mean() == pytest.approx(expected_noise, rel=0.2)
        assert not np.array_equal(batched[0], batched[1])
        assert np.array_equal(batched, _apply_batched(name, pixels, strength))
        assert not np.array_equal(batched, _apply_batched(name, pixels, strength, seed=2))


@pytest.mark.parametrize(
    ("name", "low", "high", "median", "tolerance"),
    [("exposure", 0.25, 4.0, 1.0, 0.1), ("rotation", -20.0, 20.0, 0.0, 1.0)],
)
def test_strengths_fill_the_range(
    name: str, low: float, high: float, median: float, tolerance: float
) -> None:
    strengths = BATCH_REMEDIES[name].draw_strengths(2000, low, high, seed=4)
    assert low <= strengths.min() < low + 0.05 * (high - low)
    assert high - 0.05 * (high - low) < strengths.max() <= high
    assert np.median(strengths) == pytest.approx(median, abs=tolerance)


def test_each_image_gets_its_own_strength() -> None:
    images = _convert_to_tensor(_draw_textures(2))
    treated = BATCH_REMEDIES["exposure"](images, torch.tensor([0.5, 1.0]), 0)
    assert torch.equal(treated[1], images[1])
    assert not torch.equal(treated[0], images[0])
