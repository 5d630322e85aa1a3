"""A table in each folder of images: pipeline/data/adapters/class_tables.py."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter, read_dataset
from tests.data.sample_images import list_dataset, write_images

HEADER = "Filename;Width;Roi.X1;ClassId"


def _write_signs(root: Path) -> Path:
    for number in range(3):
        folder = f"Final_Training/Images/{number:05d}"
        files = [f"{track:05d}_{frame:05d}.ppm" for track in range(2) for frame in range(3)]
        write_images(root, *[f"{folder}/{file}" for file in files])
        rows = [f"{file};24;5;{number}" for file in files]
        (root / folder / f"GT-{number:05d}.csv").write_text("\n".join([HEADER, *rows]))
    write_images(root, *[f"Final_Test/Images/{n:05d}.ppm" for n in range(6)])
    rows = [f"{n:05d}.ppm;24;5;{n % 3}" for n in range(6)]
    (root / "Final_Test/Images/GT-final_test.csv").write_text("\n".join([HEADER, *rows]))
    return root


def test_the_tables_of_traffic_signs_are_one(tmp_path: Path) -> None:
    root = _write_signs(tmp_path)
    assert find_adapter(root)[0] == "class_tables"
    images, rejected = list_dataset(root)
    assert rejected == {}
    assert Counter((image.split, image.label) for image in images.values()) == {
        (split, label): count for split, count in (("train", 6), ("test", 2)) for label in "012"
    }
    assert images["Final_Test/Images/00000.ppm"].columns == {"Width": 24, "Roi.X1": 5}


def test_rows_without_an_image_and_images_without_a_row_are_rejected(tmp_path: Path) -> None:
    root = _write_signs(tmp_path)
    with (root / "Final_Test/Images/GT-final_test.csv").open("a") as file:
        file.write("\n99999.ppm;24;5;0")
    write_images(root, "Final_Test/Images/00077.ppm")
    _, rejected = list_dataset(root)
    assert rejected == {
        "Final_Test/Images/99999.ppm (row)": "listed in a table, but there is no such image",
        "Final_Test/Images/00077.ppm": "not listed",
    }


def test_tables_of_other_columns_are_left_to_others(tmp_path: Path) -> None:
    root = _write_signs(tmp_path)
    (root / "Final_Test/Images/GT-final_test.csv").write_text("a,b\n1,2")
    with pytest.raises(InputError, match="no tables of its images"):
        list(read_dataset(root, "class_tables"))
