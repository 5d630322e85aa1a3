"""The measure stage on files it writes itself."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline import plugins
from pipeline.contracts import StageContext
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.stages import measure
from pipeline.stages.measure import Config, run


def _context(tmp_path: Path) -> StageContext:
    return StageContext("run", 0, tmp_path, tmp_path)


def _write(folder: Path, levels: list[int], size: tuple[int, int] = (40, 30)) -> pd.DataFrame:
    """One gray PNG a level, listed as `images`."""
    rows = []
    for number, level in enumerate(levels):
        source = folder / f"{number}.png"
        cv2.imwrite(str(source), np.full((size[1], size[0], 3), level, np.uint8))
        rows.append(
            {
                "image_id": f"id{number}",
                "path": source.name,
                "source": str(source),
                "captured_at": pd.Timestamp(2024, 3, 1 + number, 21, 30),
                "width": size[0],
                "height": size[1],
                "user column": "x",
            }
        )
    return pd.DataFrame(rows)


def test_every_attribute_of_every_image_in_order(tmp_path: Path) -> None:
    images = _write(tmp_path, [10, 200, 90])
    table = run(Config(), _context(tmp_path), images=images)["attributes"]
    ARTIFACT_CONTRACTS["attributes"].check_value("attributes", table, {"images": 3})
    assert list(table.columns) == ["image_id", *plugins.ATTRIBUTE_NAMES]
    assert list(table["image_id"]) == ["id0", "id1", "id2"]
    assert list(table["luminance"]) == [10, 200, 90]
    assert list(table["hour"]) == [21.5] * 3
    np.testing.assert_allclose(np.diff(table["day"]), 1)
    np.testing.assert_allclose(table["size"], np.sqrt(1200))


def test_unknown_times_are_nan_and_an_empty_list_is_fine(tmp_path: Path) -> None:
    images = _write(tmp_path, [10]).assign(captured_at=pd.Series([pd.NaT], dtype="datetime64[ns]"))
    table = run(Config(), _context(tmp_path), images=images)["attributes"]
    assert table[["hour", "day"]].isna().all(axis=None)
    empty = run(Config(), _context(tmp_path), images=images.iloc[:0])["attributes"]
    ARTIFACT_CONTRACTS["attributes"].check_value("attributes", empty, {"images": 0})


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_nothing(workers: int, tmp_path: Path) -> None:
    images = _write(tmp_path, list(range(0, 250, 10)))
    table = run(Config(workers=workers), _context(tmp_path), images=images)["attributes"]
    assert list(table["luminance"]) == list(range(0, 250, 10))


def test_only_new_images_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = _write(tmp_path, [10, 200, 90])
    context = _context(tmp_path)
    context.previous_outputs = run(Config(), context, images=images.iloc[[1, 0]])
    opened: list[str] = []
    real = measure.open_image
    monkeypatch.setattr(
        measure, "open_image", lambda source, side: (opened.append(source), real(source, side))[1]
    )
    later = images.assign(captured_at=images["captured_at"] + pd.Timedelta(hours=1))
    table = run(Config(), context, images=later)["attributes"]
    assert opened == [images["source"][2]]
    assert list(table["luminance"]) == [10, 200, 90]
    assert list(table["hour"]) == [22.5] * 3  # metadata may be mended while the bytes stay


def test_a_table_that_lacks_an_attribute_is_not_reused(tmp_path: Path) -> None:
    images = _write(tmp_path, [10])
    context = _context(tmp_path)
    context.previous_outputs = {
        "attributes": run(Config(), context, images=images)["attributes"].drop(columns="noise")
    }
    assert run(Config(), context, images=images)["attributes"]["noise"].notna().all()


def test_a_image_that_is_gone_is_noted_and_tried_again_later(tmp_path: Path) -> None:
    images = _write(tmp_path, [10, 200])
    content = Path(images["source"][0]).read_bytes()
    Path(images["source"][0]).unlink()
    context = _context(tmp_path)
    context.previous_outputs = run(Config(), context, images=images)
    table = context.previous_outputs["attributes"]
    assert table["luminance"].isna().tolist() == [True, False]
    assert table["hour"].notna().all()
    assert len(context.notes) == 1
    assert images["path"][0] in context.notes[0]
    assert images["source"][0] not in context.notes[0]  # notes are published
    Path(images["source"][0]).write_bytes(content)
    assert list(run(Config(), context, images=images)["attributes"]["luminance"]) == [10, 200]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_large_image_is_measured_on_a_reduced_copy(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grain = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    source = tmp_path / f"large{suffix}"
    cv2.imwrite(str(source), cv2.resize(grain, (1600, 1200), interpolation=cv2.INTER_NEAREST))
    images = _write(tmp_path, [0]).assign(source=str(source), width=1600, height=1200)
    sizes: list[tuple[int, ...]] = []
    fit = measure.shrink_image

    def spy(pixels: np.ndarray, max_side: int) -> np.ndarray:
        fitted = fit(pixels, max_side)
        sizes.append(fitted.shape)
        return fitted

    monkeypatch.setattr(measure, "shrink_image", spy)
    table = run(Config(max_side=300), _context(tmp_path), images=images)["attributes"]
    assert sizes == [(225, 300, 3)]
    assert np.isnan(table["blockiness"][0])  # the grid moved
    assert table["luminance"][0] == pytest.approx(127, abs=6)
    assert table["size"][0] == pytest.approx(np.sqrt(1600 * 1200))
