"""What Hugging Face's package saved: pipeline/data/adapters/huggingface.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter, read_dataset
from pipeline.data.reading.image_sources import open_image
from tests.conftest import Require
from tests.data.sample_images import (
    ARCHIVE_FORMATS,
    draw_image,
    encode_image,
    list_dataset,
    pack_folder,
    write_images,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # the package's, of its own parts


@pytest.fixture
def hub(require: Require) -> Any:
    try:
        import datasets
    except ImportError:
        require(False, "the package datasets is absent: pip install 'nightshift[huggingface]'")
    return datasets


def _rows(hub: Any, first: int) -> Any:
    features = hub.Features(
        {
            "image": hub.Image(),
            "label": hub.ClassLabel(names=["cat", "dog"]),
            "lux": hub.Value("int32"),
            "group": hub.Value("string"),
        }
    )
    rows = range(first, first + 4)
    return hub.Dataset.from_dict(
        {
            "image": [{"bytes": encode_image(n), "path": None} for n in rows],
            "label": [n % 2 for n in rows],
            "lux": [n * 10 for n in rows],
            "group": [f"g{n // 2}" for n in rows],
        },
        features=features,
    )


def test_splits_saved_to_disk(hub: Any, tmp_path: Path) -> None:
    hub.DatasetDict({"train": _rows(hub, 0), "validation": _rows(hub, 4)}).save_to_disk(
        tmp_path / "saved"
    )
    assert find_adapter(tmp_path / "saved") == (
        "huggingface",
        "a data set saved by Hugging Face's datasets, splits train, validation",
    )
    images, rejected = list_dataset(tmp_path / "saved")
    assert rejected == {}
    assert [(p.label, p.split, p.group, p.columns["lux"]) for p in images.values()] == [
        (("cat", "dog")[n % 2], "train" if n < 4 else "val", f"g{n // 2}", n * 10) for n in range(8)
    ]
    assert (open_image(list(images.values())[5].source) == np.asarray(draw_image(5))).all()


@pytest.mark.parametrize("form", ARCHIVE_FORMATS)
def test_splits_in_an_archive(hub: Any, tmp_path: Path, cache_folder: Path, form: str) -> None:
    hub.DatasetDict({"train": _rows(hub, 0), "validation": _rows(hub, 4)}).save_to_disk(
        tmp_path / "saved"
    )
    archive = pack_folder(tmp_path / "saved", form)
    assert find_adapter(archive)[0] == "huggingface"
    images, rejected = list_dataset(archive)
    assert rejected == {}
    assert [(p.label, p.split, p.group) for p in images.values()] == [
        (("cat", "dog")[n % 2], "train" if n < 4 else "val", f"g{n // 2}") for n in range(8)
    ]
    assert (open_image(list(images.values())[5].source) == np.asarray(draw_image(5))).all()


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_one_data_set_in_an_archive_that_is_damaged(
    hub: Any, tmp_path: Path, cache_folder: Path, form: str
) -> None:
    _rows(hub, 0).save_to_disk(tmp_path / "saved")
    shard = next((tmp_path / "saved").glob("*.arrow"))
    shard.write_bytes(shard.read_bytes()[:50])
    (tmp_path / "saved" / "notes.txt").touch()
    images, rejected = list_dataset(pack_folder(tmp_path / "saved", form))
    assert images == {}
    assert set(rejected) == {shard.name, "notes.txt"}
    assert "cannot be read" in rejected[shard.name]


def test_one_data_set_and_another_label(hub: Any, tmp_path: Path) -> None:
    _rows(hub, 0).save_to_disk(tmp_path / "saved")
    assert {
        p.label for p in list_dataset(tmp_path / "saved", label_column="group")[0].values()
    } == {"g0", "g1"}
    with pytest.raises(InputError, match="no column 'nothing'"):
        list(list_dataset(tmp_path / "saved", label_column="nothing"))
    shard = next((tmp_path / "saved").glob("*.arrow"))
    shard.write_bytes(shard.read_bytes()[:50])
    assert "cannot be read" in list_dataset(tmp_path / "saved")[1][shard.name]


def test_by_name(hub: Any, tmp_path: Path) -> None:
    write_images(
        tmp_path / "images",
        *(
            f"{split}/{c}/{n}.png"
            for split in ("train", "test")
            for c in ("cat", "dog")
            for n in "ab"
        ),
    )
    root = Path(f"huggingface:{tmp_path / 'images'}")  # a name may be a folder
    images, _ = list_dataset(root)
    assert sorted((p.label or "", p.split or "") for p in images.values()) == [
        (c, s) for c in ("cat", "dog") for s in ("test", "test", "train", "train")
    ]
    with pytest.raises(InputError, match=r"huggingface:.*nowhere"):
        list(read_dataset(Path(f"huggingface:{tmp_path / 'nowhere'}")))


def test_a_data_set_is_fetched_again_after_an_interrupted_save(
    hub: Any, tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [f"{split}/{c}" for split in ("train", "test") for c in ("cat", "dog")]
    write_images(tmp_path / "pets", *(f"{folder}/{n}.png" for folder in folders for n in "ab"))
    root, save = Path(f"huggingface:{tmp_path / 'pets'}"), hub.Dataset.save_to_disk

    def killed(self: Any, path: Any, *rest: Any, **options: Any) -> None:
        if str(path).endswith("test"):
            raise KeyboardInterrupt
        save(self, path, *rest, **options)

    monkeypatch.setattr(hub.Dataset, "save_to_disk", killed)
    with pytest.raises(KeyboardInterrupt):
        list(read_dataset(root))
    monkeypatch.setattr(hub.Dataset, "save_to_disk", save)
    assert len(list_dataset(root)[0]) == 8
    assert len(list((cache_folder / "huggingface").iterdir())) == 1


def test_nothing_saved(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data set saved"):
        list(read_dataset(tmp_path, "huggingface"))
