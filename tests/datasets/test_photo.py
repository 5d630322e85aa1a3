"""Words that all adapters share: pipeline/datasets/photo.py."""

from __future__ import annotations

from datetime import datetime

import pytest

from pipeline.datasets.photo import VIDEO_HINT, is_image, moment, no_image, readable


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
    assert moment(text) == expected


def test_names_and_reasons() -> None:
    assert is_image("a/b.JPG")
    assert not is_image("jpg")
    assert no_image("a.MP4") == VIDEO_HINT
    assert no_image("a.txt") == "not an image file"


@pytest.mark.parametrize("name", [b"a.png", b"caf\xe9.png", "h\u00e9ron.png".encode(), b"\xff\xfe"])
def test_any_name_becomes_text_that_a_file_can_hold(name: bytes) -> None:
    import os

    text = readable(os.fsdecode(name))
    assert text.encode()
    assert (text == os.fsdecode(name)) == (name in (b"a.png", "h\u00e9ron.png".encode()))
