"""Measuring every attribute of every image: pipeline/stages/measure.py."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from pipeline import plugins
from pipeline.contracts import StageContext
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.stages.measure import Config, run


def _make_context(tmp_path: Path) -> StageContext:
    return StageContext("run", 0, tmp_path, tmp_path)


def _write_images(folder: Path, levels: list[int]) -> pd.DataFrame:
    """Write one gray PNG for each level, and return them as `images`."""
    rows = []
    for number, level in enumerate(levels):
        source = folder / f"{number}.png"
        cv2.imwrite(str(source), np.full((30, 40, 3), level, np.uint8))
        rows.append(
            {
                "image_id": f"id{number}",
                "path": source.name,
                "source": str(source),
                "captured_at": pd.Timestamp(2024, 3, 1 + number, 21, 30),
                "width": 40,
                "height": 30,
                "user column": "x",
            }
        )
    return pd.DataFrame(rows)


def test_every_attribute_of_every_image_in_order(tmp_path: Path) -> None:
    images = _write_images(tmp_path, [10, 200, 90])
    table = run(Config(), _make_context(tmp_path), images=images)["attributes"]
    ARTIFACT_CONTRACTS["attributes"].check_value("attributes", table, {"images": 3})
    assert list(table.columns) == ["image_id", *plugins.list_plugins("attributes")]
    assert list(table["image_id"]) == ["id0", "id1", "id2"]
    assert list(table["luminance"]) == [10, 200, 90]
    assert list(table["hour"]) == [21.5] * 3
    np.testing.assert_allclose(np.diff(table["day"]), 1)
    np.testing.assert_allclose(table["size"], np.sqrt(1200))


def test_unknown_times_are_nan_and_no_image_is_no_error(tmp_path: Path) -> None:
    images = _write_images(tmp_path, [10])
    images["captured_at"] = pd.Series([pd.NaT], dtype="datetime64[ns]")
    table = run(Config(), _make_context(tmp_path), images=images)["attributes"]
    assert table[["hour", "day"]].isna().all(axis=None)
    empty = run(Config(), _make_context(tmp_path), images=images.iloc[:0])["attributes"]
    ARTIFACT_CONTRACTS["attributes"].check_value("attributes", empty, {"images": 0})


def test_images_measured_earlier_are_not_read_again(tmp_path: Path) -> None:
    images = _write_images(tmp_path, [10, 200, 90])
    context = _make_context(tmp_path)
    context.previous_outputs = run(Config(), context, images=images.iloc[[1, 0]])
    for source in images["source"][:2]:
        Path(source).unlink()
    later = images.assign(captured_at=images["captured_at"] + pd.Timedelta(hours=1))
    table = run(Config(), context, images=later)["attributes"]
    assert list(table["luminance"]) == [10, 200, 90]
    assert list(table["hour"]) == [22.5] * 3, "metadata may change while the bytes stay"
    assert context.notes == []


def test_a_table_that_lacks_an_attribute_is_not_reused(tmp_path: Path) -> None:
    images = _write_images(tmp_path, [10])
    context = _make_context(tmp_path)
    table = run(Config(), context, images=images)["attributes"]
    context.previous_outputs = {"attributes": table.drop(columns="noise_level")}
    assert run(Config(), context, images=images)["attributes"]["noise_level"].notna().all()


def test_a_missing_image_is_noted_and_tried_again_later(tmp_path: Path) -> None:
    images = _write_images(tmp_path, [10, 200])
    missing = Path(images["source"][0])
    content = missing.read_bytes()
    missing.unlink()
    context = _make_context(tmp_path)
    context.previous_outputs = run(Config(), context, images=images)
    table = context.previous_outputs["attributes"]
    assert table["luminance"].isna().tolist() == [True, False]
    assert table["hour"].notna().all()
    assert len(context.notes) == 1
    assert images["path"][0] in context.notes[0]
    assert str(missing) not in context.notes[0], "notes are published, absolute paths are not"
    missing.write_bytes(content)
    assert list(run(Config(), context, images=images)["attributes"]["luminance"]) == [10, 200]
