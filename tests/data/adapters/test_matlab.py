"""MATLAB files: pipeline/data/adapters/matlab.py."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter, read_dataset
from pipeline.data.reading.image_sources import open_image
from tests.data.sample_images import list_dataset, write_images


def _count(root: Path) -> Counter[tuple[str | None, str | None]]:
    images, _ = list_dataset(root)
    return Counter((image.split, image.label) for image in images.values())


def test_a_structure_of_names_and_classes(tmp_path: Path) -> None:
    """Stanford Cars: the names of the two splits are the same."""
    for split in ("train", "test"):
        write_images(tmp_path, *[f"cars_{split}/{n:05d}.jpg" for n in range(1, 7)])
        rows = [(5, 1 + (n + (split == "test")) % 2, f"{n:05d}.jpg") for n in range(1, 7)]
        types = [("bbox_x1", "O"), ("class", "O"), ("fname", "O")]
        (tmp_path / "devkit").mkdir(exist_ok=True)
        savemat(
            tmp_path / "devkit" / f"cars_{split}_annos.mat",
            {"annotations": np.array(rows, dtype=types)},
        )
    names = np.array(["Audi", "BMW"], dtype=object)
    savemat(tmp_path / "devkit" / "cars_meta.mat", {"class_names": names})
    assert find_adapter(tmp_path)[0] == "matlab"
    images, _ = list_dataset(tmp_path)
    assert images["cars_train/00001.jpg"].label == "BMW"
    assert images["cars_test/00001.jpg"].label == "Audi"
    assert _count(tmp_path) == {
        (split, name): 3 for split in ("train", "test") for name in ("Audi", "BMW")
    }


def test_labels_in_the_order_of_names_and_numbers_of_splits(tmp_path: Path) -> None:
    """Flowers: `imagelabels.mat` and `setid.mat`."""
    write_images(tmp_path, *[f"jpg/image_{n:05d}.jpg" for n in range(1, 9)])
    savemat(tmp_path / "imagelabels.mat", {"labels": np.array([[1, 2] * 4])})
    savemat(tmp_path / "setid.mat", {"trnid": [[1, 2, 3, 4]], "valid": [[5, 6]], "tstid": [[7, 8]]})
    assert _count(tmp_path) == {
        ("train", "1"): 2,
        ("train", "2"): 2,
        ("val", "1"): 1,
        ("val", "2"): 1,
        ("test", "1"): 1,
        ("test", "2"): 1,
    }


def test_arrays_of_one_length(tmp_path: Path) -> None:
    names = [f"n0{n % 2}/a_{n}.jpg" for n in range(6)]
    write_images(tmp_path, *[f"Images/{name}" for name in names])
    cells = np.array(names, dtype=object)
    savemat(tmp_path / "train_list.mat", {"file_list": cells, "labels": [[1], [2]] * 3})
    assert _count(tmp_path) == {("train", "1"): 3, ("train", "2"): 3}


def test_images_in_the_file(tmp_path: Path) -> None:
    """SVHN: X [H, W, C, N] and y."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3, 5), dtype=np.uint8)
    savemat(tmp_path / "train_32x32.mat", {"X": pixels, "y": [[1], [2], [1], [2], [10]]})
    images, _ = list_dataset(tmp_path)
    assert [image.label for image in images.values()] == ["1", "2", "1", "2", "10"]
    assert (open_image(images["train_32x32.mat/000003"].source) == pixels[..., 3]).all()
    assert {image.split for image in images.values()} == {"train"}


def test_files_that_cannot_be_read_or_label_nothing(tmp_path: Path) -> None:
    write_images(tmp_path, "a/1.jpg", "b/2.jpg")
    savemat(tmp_path / "other.mat", {"x": [[1.5, 2.5]]})
    assert find_adapter(tmp_path)[0] == "folder"
    with pytest.raises(InputError, match="no MATLAB file in it labels"):
        list(read_dataset(tmp_path, "matlab"))
    (tmp_path / "other.mat").write_bytes(
        b"MATLAB 7.3 MAT-file" + b" " * 105 + b"\0\2IM" + b"\0" * 99
    )
    with pytest.raises(InputError, match=r"version 7\.3"):
        list(read_dataset(tmp_path))
