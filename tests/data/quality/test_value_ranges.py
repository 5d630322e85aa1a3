"""The range of 16-bit images: pipeline/data/quality/value_ranges.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.quality.value_ranges import (
    choose_value_range,
    find_used_range,
    find_value_range,
    scale_records,
)
from pipeline.data.reading.image_record import ImageRecord
from pipeline.data.reading.image_sources import (
    build_crop_source,
    build_range_source,
    fetch_bytes,
    get_local_path,
    open_image,
    parse_crop_box,
    parse_value_range,
)


def _write(root: Path, highest: int, suffix: str = "tif", lowest: int = 0) -> list[ImageRecord]:
    records = []
    for number in range(6):
        values = np.linspace(lowest, highest - number, 32 * 32).reshape(32, 32).astype(np.uint16)
        path = root / f"{number}.{suffix}"
        Image.fromarray(values).save(path)
        records.append(ImageRecord(str(path), path.name, "a"))
    return records


@pytest.mark.parametrize("suffix", ["tif", "png"])
@pytest.mark.parametrize(("highest", "white"), [(4080, 4095), (1000, 1023), (65000, 65535)])
def test_values_are_scaled_by_the_bits_that_are_used(
    tmp_path: Path, suffix: str, highest: int, white: int
) -> None:
    records = _write(tmp_path, highest, suffix)
    value_range = find_value_range(records)
    assert value_range == (0, white)
    (first, *_) = scale_records(records, value_range)
    pixels = open_image(first.source)
    assert pixels.max() == highest * 255 // white
    assert len(np.unique(pixels)) > 200
    assert find_used_range([records[0].source, first.source]) == value_range


def test_values_far_above_zero_use_their_own_range(tmp_path: Path) -> None:
    """A thermal camera: all values are near 30,000."""
    records = _write(tmp_path, 31000, lowest=29000)
    assert find_value_range(records) == (29000, 31000)
    (first, *_) = scale_records(records, (29000, 31000))
    assert open_image(first.source).min() == 0
    assert choose_value_range(-1024, 3071) == (-1024, 3071)


def test_images_of_eight_bits_are_left_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (8, 8), 100).save(path)
    records = [ImageRecord(str(path), "a.png", "a")]
    assert find_value_range(records) is None
    assert scale_records(records, None) == records
    (scaled,) = scale_records(records, (0, 4095))
    assert open_image(scaled.source).max() == 100


def test_a_range_and_a_box_are_parts_of_one_source(tmp_path: Path) -> None:
    (record, *_) = _write(tmp_path, 4095)
    for source in (
        build_range_source(build_crop_source(record.source, (4, 4, 8, 6)), (0, 4095)),
        build_crop_source(build_range_source(record.source, (0, 4095)), (4, 4, 8, 6)),
    ):
        assert parse_value_range(source) == (0, 4095)
        assert parse_crop_box(source) == (4, 4, 8, 6)
        assert get_local_path(source) == record.source
        assert fetch_bytes(source) == Path(record.source).read_bytes()
        assert open_image(source).shape == (6, 8, 3)
    again = build_range_source(build_range_source(record.source, (0, 255)), (0, 4095))
    assert again == build_range_source(record.source, (0, 4095))


def test_white_is_zero_is_inverted(tmp_path: Path) -> None:
    values = np.full((4, 4), 4095, np.uint16)
    path = tmp_path / "a.tif"
    Image.fromarray(values).save(path, tiffinfo={262: 0})
    assert open_image(build_range_source(str(path), (0, 4095))).max() == 0
