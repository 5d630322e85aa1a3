import numpy as np
import pytest
import torch

from pipeline.learning.training.batch_sampling import (
    TrainingImages,
    build_input_tensor,
    choose_batch_size,
    derive_step_seed,
    select_batch_positions,
    shift_and_crop,
)


@pytest.mark.parametrize(("images", "batch"), [(10, 4), (96, 32), (3, 2), (2, 2), (7, 7)])
def test_every_epoch_shows_each_image_once(images: int, batch: int) -> None:
    epochs = 5
    stream = np.concatenate(
        [
            select_batch_positions(images, batch, step, seed=1)
            for step in range(-(-epochs * images // batch))
        ]
    )
    for epoch in range(epochs):
        assert sorted(stream[epoch * images : (epoch + 1) * images]) == list(range(images))
    assert len(select_batch_positions(images, batch, 3, seed=1)) == batch


def test_order_follows_seed_and_step_alone() -> None:
    first = select_batch_positions(100, 32, 7, seed=1)
    select_batch_positions(100, 32, 50, seed=2)
    assert np.array_equal(select_batch_positions(100, 32, 7, seed=1), first)
    assert not np.array_equal(select_batch_positions(100, 32, 7, seed=2), first)
    assert not np.array_equal(select_batch_positions(100, 32, 8, seed=1), first)


def test_epochs_are_shuffled_anew() -> None:
    assert not np.array_equal(
        select_batch_positions(50, 50, 0, seed=0), select_batch_positions(50, 50, 1, seed=0)
    )


SIZES = [(4, 64, 4), (1, 64, 2), (100, 64, 12), (10_000, 64, 64), (30, 64, 8)]


@pytest.mark.parametrize(("images", "wanted", "size"), SIZES)
def test_small_sets_get_small_batches(images: int, wanted: int, size: int) -> None:
    assert choose_batch_size(images, wanted) == size


def test_step_seeds_differ() -> None:
    seeds = {derive_step_seed(seed, step) for seed in range(20) for step in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= s < 2**63 for s in seeds)


def test_shift_moves_by_whole_images_and_repeats_edges() -> None:
    image = np.zeros((40, 32, 32, 3), np.uint8)
    image[:, 14:18, 14:18] = 200
    image[:, :, :2] = 90
    moved = shift_and_crop(image, 0.25, 0.0, seed=3)
    center = np.array([np.argwhere(m[..., 0] > 150).mean(0) for m in moved]) - 15.5
    assert np.abs(center).max() <= 8.5
    assert np.abs(center).max() > 5
    assert len(np.unique(np.rint(center), axis=0)) > 20
    assert (moved[center[:, 1] > 1][:, 5, 0, 0] == 90).all(), "the edge is repeated"
    assert np.array_equal(moved, shift_and_crop(image, 0.25, 0.0, seed=3))
    assert not np.array_equal(moved, shift_and_crop(image, 0.25, 0.0, seed=4))


def test_crop_enlarges_about_the_center() -> None:
    image = np.zeros((60, 32, 32, 3), np.uint8)
    image[:, 12:20, 12:20] = 200
    area = (shift_and_crop(image, 0.0, 0.4, seed=0)[..., 0] > 100).sum((1, 2))
    assert area.min() >= 60
    assert 130 < area.max() <= 64 / 0.6**2 + 16


def test_nothing_asked_nothing_changed() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    before = images.copy()
    assert np.array_equal(shift_and_crop(images, 0.0, 0.0, seed=1), images)
    shift_and_crop(images, 0.3, 0.3, seed=1)
    assert np.array_equal(images, before), "the pixels that were handed in are left as they are"


def test_tensor_is_normalized_and_channels_last() -> None:
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    pixels[0, 1, 2] = (255, 0, 51)
    x = build_input_tensor(
        pixels, {"mean": [0.5, 0.5, 0.2], "std": [0.5, 0.25, 0.5]}, torch.device("cpu")
    )
    assert x.shape == (2, 3, 4, 4)
    assert x[0, :, 1, 2].tolist() == pytest.approx([1.0, -2.0, 0.0], abs=1e-5)
    assert x.is_contiguous(memory_format=torch.channels_last)


def test_images_are_taken_by_position(images: TrainingImages) -> None:
    part = TrainingImages(images.pixels, np.array([4, 9, 2]), np.array([0, 1, 0])).select_images(
        np.array([2, 0])
    )
    assert part.image_rows.tolist() == [2, 4]
    assert np.array_equal(part.load_pixels(), images.pixels[[2, 4]])
    assert len(part.select_images(slice(0, 0))) == 0
