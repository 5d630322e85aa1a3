"""Generic augmentation: seeded, different for each image, and independent of torch's generator."""

import numpy as np
import torch

from pipeline.learning.training.generic_augmentation import create_trivial_augment, wrap_transform

COARSE_PIXELS = np.random.default_rng(0).integers(0, 255, (24, 4, 4, 3))
PIXELS = np.kron(COARSE_PIXELS, np.ones((1, 8, 8, 1))).astype(np.uint8)
ROWS = np.arange(24)


def test_the_seed_decides_the_images() -> None:
    treatment = create_trivial_augment()
    before = PIXELS.copy()
    treated = treatment(ROWS, PIXELS, 2**63 - 1)
    assert treated.shape == PIXELS.shape
    assert treated.dtype == np.uint8
    np.testing.assert_array_equal(PIXELS, before)
    torch.rand(3)
    np.testing.assert_array_equal(treatment(ROWS, PIXELS, 2**63 - 1), treated)
    assert (treatment(ROWS, PIXELS, 5) != treated).any()


def test_each_image_gets_its_own_operation() -> None:
    copies = np.repeat(PIXELS[:1], 24, axis=0)
    treated = create_trivial_augment()(ROWS, copies, 3)
    assert len({image.tobytes() for image in treated}) > 8


def test_the_global_generator_of_torch_is_unchanged() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    create_trivial_augment()(ROWS, PIXELS, 9)
    assert torch.equal(torch.rand(2), expected)


def _redden_first_row(image: torch.Tensor) -> torch.Tensor:
    image = image.clone()
    image[0, 0] = 255
    return image


def test_channels_and_rows_keep_their_places() -> None:
    treated = wrap_transform(_redden_first_row)(ROWS, PIXELS, 1)
    assert (treated[:, 0, :, 0] == 255).all()
    np.testing.assert_array_equal(treated[:, 1:], PIXELS[:, 1:])


def test_an_empty_batch_is_accepted() -> None:
    treated = wrap_transform(_redden_first_row)(ROWS[:0], PIXELS[:0], 1)
    assert treated.shape == (0, 32, 32, 3)
