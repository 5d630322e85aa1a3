import numpy as np
import pytest
import torch

from pipeline.learning.batches import Photos, batch_size, positions, shift_and_crop, step_seed, tensor


@pytest.mark.parametrize(("photos", "batch"), [(10, 4), (96, 32), (3, 2), (2, 2), (7, 7)])
def test_every_epoch_shows_each_photo_once(photos: int, batch: int) -> None:
    epochs = 5
    stream = np.concatenate([positions(photos, batch, step, seed=1) for step in range(-(-epochs * photos // batch))])
    for epoch in range(epochs):
        assert sorted(stream[epoch * photos : (epoch + 1) * photos]) == list(range(photos))
    assert len(positions(photos, batch, 3, seed=1)) == batch


def test_order_follows_seed_and_step_alone() -> None:
    first = positions(100, 32, 7, seed=1)
    positions(100, 32, 50, seed=2)
    assert np.array_equal(positions(100, 32, 7, seed=1), first)
    assert not np.array_equal(positions(100, 32, 7, seed=2), first)
    assert not np.array_equal(positions(100, 32, 8, seed=1), first)


def test_epochs_are_shuffled_anew() -> None:
    assert not np.array_equal(positions(50, 50, 0, seed=0), positions(50, 50, 1, seed=0))


SIZES = [(4, 64, 4), (1, 64, 2), (100, 64, 12), (10_000, 64, 64), (30, 64, 8)]


@pytest.mark.parametrize(("photos", "wanted", "size"), SIZES)
def test_small_sets_get_small_batches(photos: int, wanted: int, size: int) -> None:
    assert batch_size(photos, wanted) == size


def test_step_seeds_differ() -> None:
    seeds = {step_seed(seed, step) for seed in range(20) for step in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= s < 2**63 for s in seeds)


def test_shift_moves_by_whole_photos_and_repeats_edges() -> None:
    photo = np.zeros((40, 32, 32, 3), np.uint8)
    photo[:, 14:18, 14:18] = 200
    photo[:, :, :2] = 90
    moved = shift_and_crop(photo, 0.25, 0.0, seed=3)
    centre = np.array([np.argwhere(m[..., 0] > 150).mean(0) for m in moved]) - 15.5
    assert np.abs(centre).max() <= 8.5
    assert np.abs(centre).max() > 5
    assert len(np.unique(np.rint(centre), axis=0)) > 20
    assert (moved[centre[:, 1] > 1][:, 5, 0, 0] == 90).all(), "the edge is repeated"
    assert np.array_equal(moved, shift_and_crop(photo, 0.25, 0.0, seed=3))
    assert not np.array_equal(moved, shift_and_crop(photo, 0.25, 0.0, seed=4))


def test_crop_enlarges_about_the_centre() -> None:
    photo = np.zeros((60, 32, 32, 3), np.uint8)
    photo[:, 12:20, 12:20] = 200
    area = (shift_and_crop(photo, 0.0, 0.4, seed=0)[..., 0] > 100).sum((1, 2))
    assert area.min() >= 60
    assert 130 < area.max() <= 64 / 0.6**2 + 16


def test_nothing_asked_nothing_changed() -> None:
    photos = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    before = photos.copy()
    assert np.array_equal(shift_and_crop(photos, 0.0, 0.0, seed=1), photos)
    shift_and_crop(photos, 0.3, 0.3, seed=1)
    assert np.array_equal(photos, before), "the pixels that were handed in are left as they are"


def test_tensor_is_normalised_and_channels_last() -> None:
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    pixels[0, 1, 2] = (255, 0, 51)
    x = tensor(pixels, {"mean": [0.5, 0.5, 0.2], "std": [0.5, 0.25, 0.5]}, torch.device("cpu"))
    assert x.shape == (2, 3, 4, 4)
    assert x[0, :, 1, 2].tolist() == pytest.approx([1.0, -2.0, 0.0], abs=1e-5)
    assert x.is_contiguous(memory_format=torch.channels_last)


def test_photos_are_taken_by_position(photos: Photos) -> None:
    part = Photos(photos.pixels, np.array([4, 9, 2]), np.array([0, 1, 0])).take(np.array([2, 0]))
    assert part.rows.tolist() == [2, 4]
    assert np.array_equal(part.load(), photos.pixels[[2, 4]])
    assert len(part.take(slice(0, 0))) == 0
