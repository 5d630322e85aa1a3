from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.report.exports.picture_names import (
    CURVES_FILE,
    MATRIX_FILE,
    name_dose_curve,
    name_sheet,
)
from pipeline.report.exports.summary_pictures import save_pictures
from pipeline.report.report_page import ReportPage
from tests.factory import planted
from tests.report.conftest import build_page


def _read_pixels(path: Path) -> Any:
    return np.asarray(Image.open(path).convert("RGB"), dtype=float)


def test_every_picture_is_drawn_and_is_the_same_in_a_second_run(
    page: ReportPage, tmp_path: Path
) -> None:
    (tmp_path / "again").mkdir()
    names = save_pictures(page, tmp_path)
    assert names == save_pictures(page, tmp_path / "again")
    expected = {MATRIX_FILE, CURVES_FILE, name_sheet("s1"), name_dose_curve("s1")}
    assert expected <= set(names)
    for name in names:
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
        assert _read_pixels(tmp_path / name).std() > 10, f"{name} is blank"


def test_a_contact_sheet_shows_the_images_of_its_slice(
    made: dict[str, Any], tmp_path: Path
) -> None:
    members = set(made["membership"].loc[made["membership"]["slice"] == "s1", "image_id"])
    pixels = np.array(made["pixels"])
    pixels[made["images"]["image_id"].isin(members)] = (255, 0, 255)
    save_pictures(build_page(made | {"pixels": pixels}), tmp_path)
    sheet = _read_pixels(tmp_path / name_sheet("s1"))
    assert np.all(sheet == (255, 0, 255), axis=2).mean() > 0.3


def test_blurred_images_stay_blurred_and_absent_ones_absent(
    made: dict[str, Any], tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, made["pixels"].shape).astype(np.uint8)
    sheets = {}
    for mode in ("full", "blurred"):
        (tmp_path / mode).mkdir()
        save_pictures(build_page(made | {"pixels": noise}, mode), tmp_path / mode)
        sheets[mode] = _read_pixels(tmp_path / mode / name_sheet("s1"))
    edges = {mode: np.abs(np.diff(sheet, axis=1)).mean() for mode, sheet in sheets.items()}
    assert edges["blurred"] < edges["full"] / 3
    assert name_sheet("s1") not in save_pictures(build_page(made, "none"), tmp_path)


def test_a_run_without_slices_or_history_draws_what_it_has(
    quiet: dict[str, Any], tmp_path: Path
) -> None:
    history = pd.DataFrame(quiet["history"]).iloc[:0]
    names = save_pictures(build_page(quiet | {"history": history}), tmp_path)
    assert names == [MATRIX_FILE]


@pytest.mark.parametrize("name", ["$\\frac{1}$", "猫", "a" * 300])
def test_odd_class_names_are_drawn_as_they_are(
    made: dict[str, Any], tmp_path: Path, name: str
) -> None:
    old = made["classes"]["names"][0]
    renamed = {"classes": {"names": [name, *made["classes"]["names"][1:]]}}
    renamed["flips"] = made["flips"].replace(old, name)
    assert MATRIX_FILE in save_pictures(build_page(made | renamed), tmp_path)


def test_hostile_names_form_no_formula(tmp_path: Path) -> None:
    assert save_pictures(build_page(planted(hostile=True)), tmp_path)
