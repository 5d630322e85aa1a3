"""Examination of single images: pipeline/data/quality/image_examination.py."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.quality.image_examination import (
    COMPARISON_SIDE,
    MEASUREMENT_SIDE,
    ExaminedImage,
    build_image_table,
    examine_image,
    list_entries,
)
from pipeline.data.reading.image_decoding import ImageHeader
from pipeline.data.reading.image_record import ImageRecord, RejectedFile
from pipeline.data.recognition.read_plan import ReadPlan
from tests.data.sample_images import write_images


@pytest.mark.parametrize(("width", "height"), [(900, 600), (100, 80)])
def test_large_images_are_measured_on_a_small_copy(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (width, height), (9, 9, 9)).save(path)
    measured_sides = []

    def measure(pixels: np.ndarray) -> tuple[float, float]:
        measured_sides.append(max(pixels.shape))
        return float(pixels.mean()), 0.0

    result = examine_image(ImageRecord(str(path), "a.png", None), measure)
    assert not isinstance(result, RejectedFile)
    examined, copy = result
    assert measured_sides == [min(MEASUREMENT_SIDE, width)]
    assert (examined.header.width, examined.header.height) == (width, height)
    assert examined.luminance == 9
    assert copy.shape == (COMPARISON_SIDE, COMPARISON_SIDE, 3)


def test_images_without_an_adapter_are_unlabeled(tmp_path: Path) -> None:
    write_images(tmp_path, "1.png")
    (tmp_path / "notes.txt").touch()
    record, rejected = list_entries(tmp_path, ReadPlan(None))
    assert isinstance(record, ImageRecord)
    assert record.label is None
    assert rejected == RejectedFile("notes.txt", "not an image file")


def test_columns_of_the_plan_take_precedence() -> None:
    record = ImageRecord(
        "/a.png",
        "a.png",
        "cat",
        group="g",
        captured_at=datetime(2024, 5, 31, 8),
        split="train",
        columns={"visit": 7, "shot": "2024-05-31 22:10", "subset": "VALID"},
    )
    header = ImageHeader(24, 16, "PNG", "RGB", datetime(2024, 5, 31, 3), None)
    images = [ExaminedImage(record, "c", header, 9.0, 1.0)]
    default = build_image_table(images, ReadPlan("manifest")).iloc[0]
    assert (default["group"], default["hour"], default["split"]) == ("g", 8, "train")
    plan = ReadPlan("manifest", group_column="visit", time_column="shot", split_column="subset")
    planned = build_image_table(images, plan).iloc[0]
    assert (planned["group"], planned["hour"], planned["split"]) == ("7", 22, "val")


def test_table_without_images_has_all_columns() -> None:
    table = build_image_table([], ReadPlan(None))
    assert table.empty
    assert {"path", "content", "label", "hour", "luminance"} <= set(table.columns)
