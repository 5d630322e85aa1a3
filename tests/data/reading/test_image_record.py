"""Names and hints that all adapters share: pipeline/data/reading/image_record.py."""

from __future__ import annotations

import os
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.reading.image_record import (
    NOT_IMAGE_REASON,
    escape_control_characters,
    escape_invalid_bytes,
    explain_non_image,
    is_image,
    parse_datetime,
    parse_split_name,
    suggest_name,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-31T22:40:00+02:00", datetime(2024, 5, 31, 22, 40)),
        ("2024-05-31", datetime(2024, 5, 31)),
        ("2024:05:31 22:40:01", datetime(2024, 5, 31, 22, 40, 1)),
        ("0000:00:00 00:00:00", None),
        ("yesterday", None),
        ("1717187400", None),  # seconds since 1970, or a plain number
        (None, None),
    ],
)
def test_datetimes_are_parsed_as_local_time(text: str | None, expected: datetime | None) -> None:
    assert parse_datetime(text) == expected


def test_images_are_recognized_by_suffix() -> None:
    assert is_image("a/b.JPG")
    assert not is_image("jpg")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.MP4", "ffmpeg"),
        ("a/IMG_1.HEIC", "heif-convert"),
        ("a.CR2", "develop"),
        ("a.svg", "convert it to JPEG or PNG"),
        ("a.txt", NOT_IMAGE_REASON),
        ("README", NOT_IMAGE_REASON),
    ],
)
def test_other_files_have_a_reason(name: str, reason: str) -> None:
    assert reason in explain_non_image(name)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"a.png", "a.png"),
        ("h\u00e9ron.png".encode(), "h\u00e9ron.png"),
        (b"caf\xe9.png", "caf\\xe9.png"),
        (b"\xff\xfe", "\\xff\\xfe"),
    ],
)
def test_invalid_bytes_of_a_name_are_escaped(raw: bytes, expected: str) -> None:
    assert escape_invalid_bytes(os.fsdecode(raw)) == expected


def test_suggestion_is_the_closest_name_or_all_names() -> None:
    assert suggest_name("luminence", ["hour", "luminance"]) == "did you mean luminance?"
    assert suggest_name("x", ["hour", "luminance"]) == "known: hour, luminance"
    assert suggest_name("x", []) == "known: none"


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("instances_val2017.json", "val"),
        ("train.csv", "train"),
        ("a/Test-labels.CSV", "test"),
        ("trainer.csv", None),
        ("train_test.csv", None),
        ("labels.csv", None),
    ],
)
def test_split_is_parsed_from_a_file_name(name: str, split: str | None) -> None:
    assert parse_split_name(name) == split


@given(st.text())
def test_escaped_names_are_printable(text: str) -> None:
    escaped = escape_control_characters(text)
    assert escaped.isprintable()
    assert escaped == text or not text.isprintable()
