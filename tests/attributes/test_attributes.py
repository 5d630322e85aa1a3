"""What holds for every attribute, and for measuring copies."""

from collections.abc import Iterator
from datetime import datetime

import cv2
import numpy as np
import pytest

from pipeline import plugins
from pipeline.attributes import (
    ATTRIBUTE_SOURCES,
    DecodedImage,
    get_reduction_tolerance,
    list_attributes,
    load_measures,
    measure_images,
)
from pipeline.data.reading.image_decoding import decode_image

WHEN = datetime(2024, 3, 1, 22, 30)


@pytest.mark.parametrize("name", plugins.ATTRIBUTE_NAMES)
def test_every_plugin_keeps_the_contract(name: str, scene: np.ndarray) -> None:
    module = plugins.load_plugin("attributes", name)
    function = plugins.load_plugin("attributes", name).measure
    assert module.SOURCE in ATTRIBUTE_SOURCES
    assert module.UNIT
    low, high = module.LOW_HIGH_WORDS
    assert low
    assert high
    assert low != high
    assert module.PERIOD is None or module.PERIOD > 0
    assert function.__doc__.strip()
    assert np.isfinite(function(DecodedImage(scene, WHEN, 128, 96)))


@pytest.mark.parametrize("name", plugins.ATTRIBUTE_NAMES)
@pytest.mark.parametrize("level", [0, 255])
def test_flat_and_tiny_images_give_a_number_or_nan(name: str, level: int) -> None:
    for shape in ((64, 64, 3), (1, 1, 3), (2, 5, 3), (16, 3, 3)):
        image = DecodedImage(np.full(shape, level, np.uint8), None, shape[1], shape[0])
        assert not np.isinf(plugins.load_plugin("attributes", name).measure(image))


def test_names_follow_the_list_and_the_source() -> None:
    by_source = {source: list_attributes((source,)) for source in ATTRIBUTE_SOURCES}
    assert list_attributes() == plugins.ATTRIBUTE_NAMES
    assert sorted(sum(by_source.values(), ())) == sorted(plugins.ATTRIBUTE_NAMES)
    assert {"hour", "day", "size"} <= set(by_source["metadata"])
    assert {"luminance", "contrast_level", "tilt"} <= set(by_source["pixels"])
    assert "blockiness" in by_source["native"]
    assert tuple(load_measures(("native",))) == by_source["native"]


def test_metadata_attributes_never_look_at_the_pixels() -> None:
    nothing = DecodedImage(np.zeros((0, 0, 3), np.uint8), WHEN, 40, 90)
    values = {name: function(nothing) for name, function in load_measures(("metadata",)).items()}
    assert values["size"] == 60
    assert values["hour"] == 22.5


def test_measure_has_one_row_a_copy_and_agrees_with_the_functions(scene: np.ndarray) -> None:
    copies = np.stack([scene[:96, :96], scene[:96, 32:]])
    copies.flags.writeable = False
    table = measure_images(copies)
    of_the_metadata = list_attributes(("metadata",))
    assert list(table.columns) == [n for n in plugins.ATTRIBUTE_NAMES if n not in of_the_metadata]
    assert len(table) == 2
    assert all(dtype == np.float64 for dtype in table.dtypes)
    second = DecodedImage(np.ascontiguousarray(copies[1]), None, 96, 96)
    assert table["sharpness"][1] == load_measures()["sharpness"](second)
    assert table["luminance"][0] != table["luminance"][1]


def test_measure_of_no_copies_is_an_empty_table() -> None:
    table = measure_images(np.zeros((0, 64, 64, 3), np.uint8))
    assert len(table) == 0
    assert "luminance" in table


def test_a_decoded_image_reports_whether_it_was_reduced(scene: np.ndarray) -> None:
    assert DecodedImage(scene, None, 128, 96).is_native
    assert DecodedImage(scene, None, 96, 128).is_native  # EXIF orientation exchanges the sides
    assert not DecodedImage(scene, None, 1280, 960).is_native


def _hard(height: int, width: int) -> Iterator[np.ndarray]:
    """Return images that clip most when decoded: lamps in the dark, loud colors, a dark image."""
    rng = np.random.default_rng(0)
    yield np.where(rng.random((height, width, 1)) < 0.02, 255, 0).astype(np.uint8).repeat(3, 2)
    yield np.where(rng.random((height, width, 3)) < 0.02, 255, 0).astype(np.uint8)
    coarse = cv2.resize(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), (width, height))
    yield np.clip(coarse * 0.1 + rng.normal(0, 8, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", [n for n in plugins.ATTRIBUTE_NAMES if get_reduction_tolerance(n)])
@pytest.mark.parametrize("quality", [95, 75, 40])
def test_a_reduced_decode_is_within_the_tolerance_of_the_plugin(name: str, quality: int) -> None:
    def value(pixels: np.ndarray) -> float:
        return float(
            plugins.load_plugin("attributes", name).measure(DecodedImage(pixels, None, 333, 251))
        )

    for pixels in _hard(251, 333):
        data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        for part in (2, 4, 8):
            small = decode_image(data, 333 // part)
            assert small.shape[1] < 333 / part + 1, "the decode was not reduced"
            assert abs(value(small) - value(decode_image(data))) <= get_reduction_tolerance(name)
