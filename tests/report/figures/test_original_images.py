"""Originals on the page: pipeline/report/figures/original_images.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.report.figures.original_images import (
    LARGE_SIDE,
    list_original_sources,
    load_original,
    order_enlarged_images,
)


def draw_gradient(side: int) -> np.ndarray:
    ramp = np.linspace(0, 255, side).astype(np.uint8)
    return np.stack([np.tile(ramp, (side, 1))] * 3, axis=2)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    Image.fromarray(draw_gradient(480)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_an_original_is_large_enough_to_judge(original: Path) -> None:
    large = load_original(str(original), draw_gradient(64))
    assert large is not None
    assert large.shape == (LARGE_SIDE, LARGE_SIDE, 3)


def test_a_file_that_is_another_image_by_now_is_not_shown(original: Path) -> None:
    assert load_original(str(original), draw_gradient(64)[:, ::-1]) is None


def test_missing_broken_and_remote_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"no image")
    for source in (str(tmp_path / "b.png"), str(tmp_path / "c.png"), "s3://bucket/a.png"):
        assert load_original(source, draw_gradient(64)) is None


def test_only_images_that_are_larger_than_kept_have_an_original() -> None:
    images = pd.DataFrame(
        {"image_id": ["a", "b"], "source": ["/a", "/b"], "width": [640, 60], "height": [480, 64]}
    )
    assert list_original_sources(images, 64) == {"a": "/a"}
    assert list_original_sources(images, LARGE_SIDE) == {}


def test_failing_images_keep_the_order_of_the_page() -> None:
    assert order_enlarged_images(["c", "a", "b"], ["b", "c", "z"]) == ["c", "b"]
