"""Generic augmentation: decided by its seed, another for each image, and without a trace in torch's generator."""

import numpy as np
import torch

from pipeline.learning.training.generic_augmentation import create_trivial_augment, wrap_transform

RNG = np.random.default_rng(0)
PHOTOS = np.kron(RNG.integers(0, 255, (24, 4, 4, 3)), np.ones((1, 8, 8, 1))).astype(np.uint8)
ROWS = np.arange(24)


def test_the_same_seed_gives_the_same_images_and_another_others() -> None:
    treatment = create_trivial_augment()
    before = PHOTOS.copy()
    one = treatment(ROWS, PHOTOS, 2**63 - 1)
    assert one.shape == PHOTOS.shape
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(PHOTOS, before)
    torch.rand(3)
    np.testing.assert_array_equal(treatment(ROWS, PHOTOS, 2**63 - 1), one)
    assert (treatment(ROWS, PHOTOS, 5) != one).any()


def test_each_image_has_an_operation_of_its_own() -> None:
    same = np.repeat(PHOTOS[:1], 24, axis=0)
    treated = create_trivial_augment()(ROWS, same, 3)
    assert len({image.tobytes() for image in treated}) > 8


def test_the_generator_of_torch_is_given_back_as_it_was() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    create_trivial_augment()(ROWS, PHOTOS, 9)
    assert torch.equal(torch.rand(2), expected)


def test_channels_and_rows_stay_in_place_and_no_image_is_fine() -> None:
    def first_row_red(image: torch.Tensor) -> torch.Tensor:
        image = image.clone()
        image[0, 0] = 255
        return image

    treated = wrap_transform(first_row_red)(ROWS, PHOTOS, 1)
    assert (treated[:, 0, :, 0] == 255).all()
    np.testing.assert_array_equal(treated[:, 1:], PHOTOS[:, 1:])
    assert wrap_transform(first_row_red)(ROWS[:0], PHOTOS[:0], 1).shape == (0, 32, 32, 3)
