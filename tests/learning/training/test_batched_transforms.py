"""Twins against the remedies of albumentations, at the same strength, on image-like pictures."""

import cv2
import numpy as np
import pytest
import torch

from pipeline import plugins
from pipeline.learning.training.batch_sampling import draw_shifts, shift_and_crop
from pipeline.learning.training.batch_sources import shift_and_crop_tensor
from pipeline.learning.training.batched_transforms import BATCH_REMEDIES
from pipeline.remedies import apply_remedy

EXACT = {
    "exposure",
    "gamma",
    "color_cast",
    "fog",
    "horizontal_flip",
    "vertical_flip",
    "quarter_turns",
}
RANDOM = {"noise", "low_light"}  # draw more than their strength: alike in distribution


def _images(count: int = 8, side: int = 48) -> np.ndarray:
    rng = np.random.default_rng(5)
    coarse = rng.uniform(20, 200, (count, 6, 6, 3)).astype(np.float32)
    smooth = np.stack([cv2.resize(c, (side, side), interpolation=cv2.INTER_CUBIC) for c in coarse])
    return np.clip(np.rint(smooth + rng.normal(0, 2, smooth.shape)), 0, 255).astype(np.uint8)


def _there(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float()


def _twin(name: str, pixels: np.ndarray, strength: float, seed: int = 1) -> np.ndarray:
    twin = BATCH_REMEDIES[name](_there(pixels), torch.full((len(pixels),), strength), seed)
    assert torch.equal(twin, twin.round())
    assert 0 <= float(twin.min()) <= float(twin.max()) <= 255
    return twin.permute(0, 2, 3, 1).numpy()


def _doses(name: str) -> tuple[float, ...]:
    return tuple(plugins.load_plugin("remedies", name).STRENGTHS) or (0.12, 0.5, 0.9)


@pytest.mark.parametrize("name", sorted(set(BATCH_REMEDIES) - RANDOM))
def test_a_twin_does_what_the_remedy_does(name: str) -> None:
    pixels = _images()
    for strength in _doses(name):
        ours, theirs = (
            _twin(name, pixels, strength),
            apply_remedy(name, pixels, strength, strength, seed=1).astype(float),
        )
        off = np.abs(ours - theirs)
        changed = np.abs(theirs - pixels).mean()
        assert off.max() <= (1 if name in EXACT else 12), (strength, off.max())
        assert off.mean() <= (0.05 if name in EXACT else 0.6), (strength, off.mean())
        assert off.mean() < 0.2 * changed, (strength, off.mean(), changed)


@pytest.mark.parametrize("name", sorted(RANDOM))
def test_a_twin_that_draws_draws_alike(name: str) -> None:
    pixels = np.repeat(_images(2, 32), 60, axis=0)
    for strength in _doses(name):
        ours, theirs = (
            _twin(name, pixels, strength),
            apply_remedy(name, pixels, strength, strength, seed=1).astype(float),
        )
        for part in range(0, 120, 60):
            one, other = ours[part : part + 60], theirs[part : part + 60]
            bar = 3 * other.mean((1, 2, 3)).std() * np.sqrt(2 / 60) + 0.3
            assert abs(one.mean() - other.mean()) < bar
            assert one.std(0).mean() == pytest.approx(other.std(0).mean(), rel=0.2)
        assert not np.array_equal(ours[0], ours[1])
        assert np.array_equal(ours, _twin(name, pixels, strength))
        assert not np.array_equal(ours, _twin(name, pixels, strength, seed=2))


def test_each_image_has_its_own_dose_in_the_range() -> None:
    for name, low, high, middle, near in (
        ("exposure", 0.25, 4.0, 1.0, 0.1),
        ("rotation", -20.0, 20.0, 0.0, 1.0),
    ):
        strengths = BATCH_REMEDIES[name].draw_strengths(2000, low, high, seed=4)
        assert low <= strengths.min() < strengths.max() <= high
        assert np.median(strengths) == pytest.approx(middle, abs=near)
        assert np.median(strengths) == pytest.approx(
            1.0 if name == "exposure" else 0.0, abs=1.0 if name == "rotation" else 0.1
        )
    pixels = _images(2)
    out = BATCH_REMEDIES["exposure"](_there(pixels), torch.tensor([0.5, 1.0]), 0)
    assert torch.equal(out[1], _there(pixels)[1])
    assert not torch.equal(out[0], _there(pixels)[0])


def test_shift_and_crop_moves_each_image_as_on_the_cpu() -> None:
    pixels = _images(16)
    for shift, crop in ((0.2, 0.0), (0.0, 0.4), (0.06, 0.2)):
        draws = torch.from_numpy(draw_shifts(len(pixels), shift, crop, seed=3).astype(np.float32))
        ours = shift_and_crop_tensor(_there(pixels), draws).permute(0, 2, 3, 1).numpy()
        off = np.abs(ours - shift_and_crop(pixels, shift, crop, seed=3))
        assert off.mean() < 0.6
        assert off.max() <= 12
