"""Measuring stored files: pipeline/data/reading/file_attributes.py."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline.attributes import list_attributes
from pipeline.data.reading.file_attributes import (
    PIXEL_SOURCES,
    measure_files,
    measure_metadata,
    shrink_image,
)


def _describe_files(*sources: Path, size: tuple[int, int] = (40, 30)) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "source": [str(source) for source in sources],
            "captured_at": pd.Timestamp(2024, 3, 1, 21, 30),
            "width": size[0],
            "height": size[1],
        }
    )


def _write_gray_image(path: Path, level: int) -> Path:
    cv2.imwrite(str(path), np.full((30, 40, 3), level, np.uint8))
    return path


@pytest.mark.parametrize("workers", [1, 3, None])
def test_values_come_in_the_order_of_the_files(workers: int | None, tmp_path: Path) -> None:
    levels = list(range(0, 250, 10))
    sources = [_write_gray_image(tmp_path / f"{level}.png", level) for level in levels]
    position = list_attributes(PIXEL_SOURCES).index("luminance")
    measured = list(measure_files(_describe_files(*sources), 1024, workers))
    assert [item.values[position] for item in measured] == levels
    assert not any(item.error for item in measured)


def test_a_file_that_cannot_be_read_has_no_values_and_a_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    (measurement,) = measure_files(_describe_files(broken), 1024, 1)
    assert np.isnan(measurement.values).all()
    assert "not an image" in measurement.error


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_large_image_is_measured_on_a_reduced_copy(suffix: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    source = tmp_path / f"large{suffix}"
    cv2.imwrite(str(source), cv2.resize(noise, (1600, 1200), interpolation=cv2.INTER_NEAREST))
    images = _describe_files(source, size=(1600, 1200))
    names = list_attributes(PIXEL_SOURCES)
    values = {}
    for max_side in (300, 2000):
        (measurement,) = measure_files(images, max_side, 1)
        values[max_side] = dict(zip(names, measurement.values, strict=True))
    assert np.isnan(values[300]["blockiness"]), "blocks of 8 pixels are lost in a reduced copy"
    assert not np.isnan(values[2000]["blockiness"])
    assert values[300]["luminance"] == pytest.approx(127, abs=6)


def test_metadata_is_measured_without_the_file() -> None:
    images = _describe_files(Path("gone.png"), Path("also-gone.png"))
    images.loc[1, "captured_at"] = pd.NaT
    table = measure_metadata(images)
    assert table["hour"].tolist()[0] == 21.5
    assert np.isnan(table.loc[1, "hour"])
    assert set(table) == set(list_attributes(("metadata",)))
    assert len(measure_metadata(images.iloc[:0])) == 0


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1200, 1600), (225, 300)), ((300, 200), (300, 200)), ((1, 9000), (1, 300))],
)
def test_shrinking_keeps_the_aspect_ratio(
    shape: tuple[int, int], expected: tuple[int, int]
) -> None:
    pixels = np.zeros((*shape, 3), np.uint8)
    assert shrink_image(pixels, 300).shape[:2] == expected
