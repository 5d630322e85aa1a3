"""Fitting as other libraries do it: the reference is torchvision, pixel by pixel."""

import cv2
import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from pipeline.analysis.image_fitting import Geometry, ImageFitting, Interpolation
from pipeline.data.reading.image_decoding import letterbox_image

IMAGE = cv2.GaussianBlur(
    np.random.default_rng(0).integers(0, 255, (97, 140, 3)).astype(np.uint8), (5, 5), 0
)


@pytest.mark.parametrize(
    ("interpolation", "mode"),
    [
        (Interpolation.PILLOW_BILINEAR, InterpolationMode.BILINEAR),
        (Interpolation.PILLOW_BICUBIC, InterpolationMode.BICUBIC),
    ],
)
@pytest.mark.parametrize("turn", [False, True])
def test_the_usual_evaluation_of_torchvision_is_met_exactly(
    interpolation: Interpolation, mode: InterpolationMode, turn: bool
) -> None:
    pixels = np.ascontiguousarray(IMAGE.transpose(1, 0, 2)) if turn else IMAGE
    for geometry, transform in (
        (Geometry.LOOSE_CENTER_CROP, Compose([Resize(64, mode), CenterCrop(56)])),
        (Geometry.CENTER_CROP, Compose([Resize(56, mode), CenterCrop(56)])),
        (Geometry.STRETCH, Resize((56, 56), mode)),
    ):
        expected = np.asarray(transform(Image.fromarray(pixels)))
        fitted = ImageFitting(geometry, interpolation).fit_image(pixels, 56)
        assert np.array_equal(fitted, expected), geometry


def test_the_default_is_the_letterbox_of_every_run() -> None:
    for side in (32, 200):
        assert np.array_equal(ImageFitting().fit_image(IMAGE, side), letterbox_image(IMAGE, side))


def test_every_fitting_gives_a_square_of_its_own() -> None:
    forms = set()
    for geometry in Geometry:
        for interpolation in Interpolation:
            fitted = ImageFitting(geometry, interpolation).fit_image(IMAGE, 40)
            assert fitted.shape == (40, 40, 3)
            forms.add(fitted.tobytes())
    assert len(forms) == len(Geometry) * len(Interpolation)


@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (7, 7), (56, 56)])
def test_extreme_shapes_are_fitted(shape: tuple[int, int]) -> None:
    pixels = np.full((*shape, 3), 90, np.uint8)
    for geometry in Geometry:
        assert ImageFitting(geometry).fit_image(pixels, 56).shape == (56, 56, 3)
