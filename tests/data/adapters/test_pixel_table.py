"""CSV files of pixels: pipeline/data/adapters/pixel_table.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter, read_dataset
from pipeline.data.reading.image_sources import open_image
from tests.data.sample_images import list_dataset

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 8 * 8))
LABELS = [n % 3 for n in range(12)]


def _check(root: Path, is_scaled: bool = False) -> None:
    assert find_adapter(root)[0] == "pixel_table"
    images, rejected = list_dataset(root)
    assert rejected == {}
    assert [image.label for image in images.values()] == [str(n) for n in LABELS]
    for row, image in enumerate(images.values()):
        shown = open_image(image.source)[:, :, 0]
        assert np.abs(shown.astype(int) - PIXELS[row].reshape(8, 8)).max() <= int(is_scaled)


def test_all_pixels_in_one_column_with_the_split(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "emotion": LABELS,
            "pixels": [" ".join(map(str, row)) for row in PIXELS],
            "Usage": ["Training"] * 8 + ["PublicTest"] * 2 + ["PrivateTest"] * 2,
        }
    )
    frame.to_csv(tmp_path / "fer2013.csv", index=False)
    _check(tmp_path)
    _check(tmp_path / "fer2013.csv")
    images, _ = list_dataset(tmp_path)
    assert [image.split for image in images.values()] == ["train"] * 8 + ["val"] * 2 + ["test"] * 2


@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("name", ["pixel{}", "{}", "pixel{:04d}", "1x{}"])
def test_a_column_for_each_pixel(tmp_path: Path, name: str, is_last: bool) -> None:
    frame = pd.DataFrame(PIXELS, columns=[name.format(n) for n in range(64)])
    frame.insert(64 if is_last else 0, "label", LABELS)
    frame.to_csv(tmp_path / "a.csv", index=False)
    _check(tmp_path)


def test_a_table_without_a_header(tmp_path: Path) -> None:
    frame = pd.DataFrame(PIXELS)
    frame.insert(0, "label", LABELS)
    frame.to_csv(tmp_path / "mnist_train.csv", index=False, header=False)
    _check(tmp_path)
    images, _ = list_dataset(tmp_path)
    assert {image.split for image in images.values()} == {"train"}


def test_shares_and_sixteenths_are_scaled(tmp_path: Path) -> None:
    pd.DataFrame(PIXELS / 255).assign(label=LABELS).to_csv(tmp_path / "a.csv", index=False)
    _check(tmp_path, is_scaled=True)


def test_color_and_a_table_without_labels(tmp_path: Path) -> None:
    colors = np.random.default_rng(0).integers(0, 256, (6, 8 * 8 * 3))
    frame = pd.DataFrame(colors, columns=[f"pixel{n}" for n in range(192)])
    frame.assign(label=range(6)).to_csv(tmp_path / "train.csv", index=False)
    frame.to_csv(tmp_path / "test.csv", index=False)
    images, rejected = list_dataset(tmp_path)
    assert rejected == {"test.csv": "its rows have no label"}
    assert (open_image(images["train.csv/000002"].source) == colors[2].reshape(8, 8, 3)).all()
    (tmp_path / "train.csv").unlink()
    with pytest.raises(InputError, match="which column is the label"):
        list(read_dataset(tmp_path))


def test_other_tables_hold_no_pixels(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="none of its 1 files"):
        find_adapter(tmp_path)
    with pytest.raises(InputError, match="no CSV in it holds pixels"):
        list(read_dataset(tmp_path, "pixel_table"))
