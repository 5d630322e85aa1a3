"""MedMNIST's files: pipeline/data/adapters/npz.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter, read_dataset
from pipeline.data.reading.image_sources import open_image
from tests.data.sample_images import ARCHIVE_FORMATS, list_dataset, pack_folder


def _arrays(colors: tuple[int, ...] = (28, 28, 3)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    made = {}
    for part, count in (("train", 4), ("val", 2), ("test", 3)):
        made[f"{part}_images"] = rng.integers(0, 255, (count, *colors), dtype=np.uint8)
        made[f"{part}_labels"] = rng.integers(0, 2, (count, 1))
    return made


@pytest.mark.parametrize("colors", [(28, 28, 3), (28, 28)])
@pytest.mark.parametrize("inside", [True, False])
def test_every_split_by_number(tmp_path: Path, colors: tuple[int, ...], inside: bool) -> None:
    made = _arrays(colors)
    np.savez_compressed(tmp_path / "bloodmnist.npz", **made)
    root = tmp_path if inside else tmp_path / "bloodmnist.npz"
    assert find_adapter(root)[0] == "npz"
    images, rejected = list_dataset(root)
    assert rejected == {}
    assert [p.split for p in images.values()].count("test") == 3
    image = images["val_images/000001"]
    assert image.label == str(made["val_labels"][1, 0])
    assert (
        open_image(image.source)[:, :, 0] == made["val_images"][1].reshape(28, 28, -1)[:, :, 0]
    ).all()


def test_several_labels_and_arrays_that_do_not_fit(tmp_path: Path) -> None:
    made = _arrays()
    np.savez(tmp_path / "a.npz", images=made["train_images"], labels=np.zeros((4, 14)))
    assert set(list_dataset(tmp_path)[1].values()) == {"has 14 labels; one is needed"}
    np.savez(tmp_path / "a.npz", images=made["train_images"], labels=np.zeros(3))
    with pytest.raises(InputError, match="4 images, but 3 labels"):
        list(read_dataset(tmp_path))
    np.savez(tmp_path / "a.npz", images=made["train_images"])
    with pytest.raises(InputError, match="has no labels beside it"):
        list(read_dataset(tmp_path))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.array([{"a": 1}], dtype=object), labels=np.zeros(1))
    with pytest.raises(InputError, match="cannot be read"):
        list(read_dataset(tmp_path))
    with pytest.raises(InputError, match="no npz file"):
        list(read_dataset(tmp_path.parent / "elsewhere", "npz"))


@pytest.mark.parametrize("form", ARCHIVE_FORMATS)
def test_in_an_archive(tmp_path: Path, cache_folder: Path, form: str) -> None:
    made = _arrays()
    (tmp_path / "med").mkdir()
    np.savez_compressed(tmp_path / "med" / "bloodmnist.npz", **made)
    (tmp_path / "med" / "README").touch()
    archive = pack_folder(tmp_path / "med", form)
    assert find_adapter(archive)[0] == "npz"
    images, rejected = list_dataset(archive)
    assert rejected == {"README": "not the npz file"}
    assert len(images) == 9
    image = images["test_images/000002"]
    assert (image.label, image.split) == (str(made["test_labels"][2, 0]), "test")
    assert (open_image(image.source) == made["test_images"][2]).all()
    assert len(list((cache_folder / "unpacked").iterdir())) == 1 + (form == "gztar")
