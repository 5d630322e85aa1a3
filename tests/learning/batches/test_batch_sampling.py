import numpy as np
import pytest
import torch

from pipeline.learning.batches.batch_sampling import (
    ArraySubset,
    TrainingImages,
    build_input_tensor,
    choose_batch_size,
    derive_step_seed,
    select_batch_positions,
)


@pytest.mark.parametrize(("image_count", "size"), [(10, 4), (96, 32), (3, 2), (2, 2), (7, 7)])
def test_every_epoch_contains_each_image_once(image_count: int, size: int) -> None:
    epoch_count = 5
    step_count = -(-epoch_count * image_count // size)
    batches = [
        select_batch_positions(image_count, size, step, seed=1) for step in range(step_count)
    ]
    assert {len(batch) for batch in batches} == {size}
    stream = np.concatenate(batches)
    for epoch in range(epoch_count):
        positions = stream[epoch * image_count : (epoch + 1) * image_count]
        assert sorted(positions) == list(range(image_count))


def test_the_order_depends_on_seed_and_step_alone() -> None:
    first = select_batch_positions(100, 32, 7, seed=1)
    select_batch_positions(100, 32, 50, seed=2)
    assert np.array_equal(select_batch_positions(100, 32, 7, seed=1), first)
    assert not np.array_equal(select_batch_positions(100, 32, 7, seed=2), first)
    assert not np.array_equal(select_batch_positions(100, 32, 8, seed=1), first)


def test_each_epoch_has_another_order() -> None:
    first_epoch = select_batch_positions(50, 50, 0, seed=0)
    second_epoch = select_batch_positions(50, 50, 1, seed=0)
    assert not np.array_equal(first_epoch, second_epoch)


@pytest.mark.parametrize(
    ("image_count", "requested_size", "size"),
    [(4, 64, 4), (1, 64, 2), (100, 64, 12), (10_000, 64, 64), (30, 64, 8)],
)
def test_small_sets_get_small_batches(image_count: int, requested_size: int, size: int) -> None:
    assert choose_batch_size(image_count, requested_size) == size


def test_step_seeds_differ() -> None:
    seeds = {derive_step_seed(seed, step) for seed in range(20) for step in range(50)}
    assert len(seeds) == 1000
    assert min(seeds) >= 0
    assert max(seeds) < 2**63


def test_the_input_tensor_is_normalized_and_channels_last() -> None:
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    pixels[0, 1, 2] = (255, 0, 51)
    meta = {"mean": [0.5, 0.5, 0.2], "std": [0.5, 0.25, 0.5]}
    inputs = build_input_tensor(pixels, meta, torch.device("cpu"))
    assert inputs.shape == (2, 3, 4, 4)
    assert inputs[0, :, 1, 2].tolist() == pytest.approx([1.0, -2.0, 0.0], abs=1e-5)
    assert inputs.is_contiguous(memory_format=torch.channels_last)


def test_embeddings_are_not_normalized() -> None:
    embeddings = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    meta = {"mean": [0.5] * 3, "std": [0.5] * 3}
    inputs = build_input_tensor(torch.from_numpy(embeddings), meta, torch.device("cpu"))
    assert np.array_equal(inputs.numpy(), embeddings)


def test_images_are_selected_by_position(images: TrainingImages) -> None:
    subset = TrainingImages(images.pixels, np.array([4, 9, 2]), np.array([0, 1, 0]))
    selected = subset.select_images(np.array([2, 0]))
    assert selected.image_rows.tolist() == [2, 4]
    assert selected.labels.tolist() == [0, 0]
    assert np.array_equal(selected.load_pixels(), images.pixels[[2, 4]])
    assert len(selected.select_images(slice(0, 0))) == 0


def test_an_array_subset_is_indexed_like_an_array() -> None:
    array = np.arange(24).reshape(8, 3)
    subset = ArraySubset(array, np.array([6, 1, 4]))
    assert len(subset) == 3
    assert subset.shape == (3, 3)
    assert np.array_equal(subset[1:], array[[1, 4]])
    assert np.array_equal(subset[np.array([2, 0])], array[[4, 6]])
