"""Words that all adapters share: pipeline/data/reading/image_record.py."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.reading.image_record import (
    NOT_IMAGE_REASON,
    VIDEO_HINT,
    escape_control_characters,
    escape_invalid_bytes,
    explain_non_image,
    is_image,
    parse_datetime,
    parse_split_name,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-31T22:40:00+02:00", datetime(2024, 5, 31, 22, 40)),
        ("2024-05-31", datetime(2024, 5, 31)),
        ("2024:05:31 22:40:01", datetime(2024, 5, 31, 22, 40, 1)),
        ("0000:00:00 00:00:00", None),
        ("yesterday", None),
        (None, None),
    ],
)
def test_moment(text: str | None, expected: datetime | None) -> None:
    assert parse_datetime(text) == expected


def test_names_and_reasons() -> None:
    assert is_image("a/b.JPG")
    assert not is_image("jpg")
    assert explain_non_image("a.MP4") == VIDEO_HINT
    assert explain_non_image("a.txt") == "not an image file"


@pytest.mark.parametrize("name", [b"a.png", b"caf\xe9.png", "h\u00e9ron.png".encode(), b"\xff\xfe"])
def test_any_name_becomes_text_that_a_file_can_hold(name: bytes) -> None:
    import os

    text = escape_invalid_bytes(os.fsdecode(name))
    assert text.encode()
    assert (text == os.fsdecode(name)) == (name in (b"a.png", "h\u00e9ron.png".encode()))


def test_why_what_shows_something_is_not_read() -> None:
    assert "heif-convert" in explain_non_image("a/IMG_1.HEIC")
    assert "develop" in explain_non_image("a.CR2")
    assert explain_non_image("README") == NOT_IMAGE_REASON


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
def test_the_split_in_a_name(name: str, split: str | None) -> None:
    assert parse_split_name(name) == split


@given(st.text())
def test_names_are_shown_on_one_line(text: str) -> None:
    shown = escape_control_characters(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()
