"""Lines that summarize a data set: pipeline/data/recognition/dataset_summary.py."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from pipeline.data.reading.image_decoding import ImageHeader
from pipeline.data.reading.image_record import ImageRecord
from pipeline.data.recognition.dataset_summary import (
    find_series,
    find_unusual_storage,
    format_classes,
    format_extras,
    format_sizes,
    format_times,
    read_sample_headers,
)


def _build_header(
    width: int = 40, height: int = 30, captured_at: datetime | None = None
) -> ImageHeader:
    return ImageHeader(width, height, "PNG", "RGB", captured_at, None)


def _build_records(*paths: str) -> list[ImageRecord]:
    return [ImageRecord(f"/{path}", path, "x") for path in paths]


def test_largest_and_smallest_of_many_classes_are_listed() -> None:
    counts = {f"c{n:02d}": 100 + n for n in range(20)}
    text = format_classes(counts)
    assert text.startswith("20 classes: c19 119, c18 118,")
    assert text.endswith("..., c02 102, c01 101, c00 100")
    assert format_classes({"cat": 1200}) == "1 class: cat 1,200"


def test_sizes_are_median_and_range() -> None:
    text = format_sizes([_build_header(40, 30), _build_header(50, 20), _build_header(60, 10)])
    assert text.startswith("50 x 20 px is the median size, 10 to 60 px the range")


def test_times_come_from_the_data_set_before_exif() -> None:
    header = _build_header(captured_at=datetime(2024, 5, 31, 22, 40))
    assert "EXIF, 2024-05-31 22:40" in format_times(_build_records("1.png"), [header])
    record = ImageRecord("/a", "a", "x", captured_at=datetime(2023, 1, 1))
    assert "captured_at, 2023-01-01 00:00" in format_times([record], [header])
    assert format_times(_build_records("1.png"), [_build_header()]).startswith("no capture times")


def test_names_that_differ_in_the_last_number_are_a_series() -> None:
    frames = [f"{track:03d}_{n:02d}.png" for track in range(12) for n in range(4)]
    assert find_series(_build_records(*frames)) == (12, "011_")
    assert find_series(_build_records(*frames[:36])) is None  # nine series
    single = [f"x{n}_0.png" for n in range(13)]
    assert find_series(_build_records(*frames, *single)) is None  # a fifth has no sibling
    assert find_series(_build_records(*(f"{n}.png" for n in range(60)))) is None


def test_series_are_not_mentioned_if_groups_are_known() -> None:
    records = _build_records(*(f"{track:03d}_{n}.png" for track in range(12) for n in range(4)))
    assert any("12 series" in line for line in format_extras(records, [], is_grouped=False))
    assert format_extras(records, [], is_grouped=True) == []


@pytest.mark.parametrize(
    ("mode", "suffix", "expected"),
    [
        ("RGB", "png", []),
        ("L", "png", ["gray"]),
        ("CMYK", "jpg", ["CMYK"]),
        ("RGBA", "png", ["with alpha"]),
        ("I;16", "png", ["gray", "16 bit"]),
    ],
)
def test_unusual_storage_is_named(
    tmp_path: Path, mode: str, suffix: str, expected: list[str]
) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.new(mode, (9, 9)).save(path)
    headers, unreadable_count = read_sample_headers([ImageRecord(str(path), "a", "x")])
    assert unreadable_count == 0
    assert find_unusual_storage(headers[0]) == expected


def test_unreadable_images_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    record = ImageRecord(str(tmp_path / "a.png"), "a.png", "x")
    assert read_sample_headers([record]) == ([], 1)
