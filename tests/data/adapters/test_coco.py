"""COCO's annotations: pipeline/data/adapters/coco.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter, read_dataset
from pipeline.data.reading.image_sources import open_image
from tests.data.sample_images import (
    ARCHIVE_FORMATS,
    get_labels,
    list_dataset,
    pack_folder,
    write_images,
)


def _coco(images: list[dict[str, object]], marks: Sequence[tuple[int, int, object]]) -> str:
    return json.dumps(
        {
            "images": images,
            "annotations": [
                {"id": 100 + n, "image_id": image, "category_id": kind, "bbox": box}
                for n, (image, kind, box) in enumerate(marks)
            ],
            "categories": [{"id": 1, "name": "cat"}, {"id": 7, "name": "dog"}],
        }
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_images(
        tmp_path,
        "train2017/a.png",
        "train2017/b.png",
        "val2017/c.png",
        "val2017/d.png",
        "stray.png",
    )
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_train2017.json").write_text(
        _coco(
            [
                {"id": 1, "file_name": "a.png", "date_captured": "2024-05-31 22:40:01"},
                {"id": 2, "file_name": "b.png"},
                {"id": 3, "file_name": "gone.png"},
            ],
            [
                (1, 1, [2, 3, 10, 5]),
                (1, 1, [0, 0, 4, 4]),
                (2, 1, [0, 0, 9, 9]),
                (2, 7, [5, 5, 5, 5]),
            ],
        )
    )
    (tmp_path / "annotations" / "instances_val2017.json").write_text(
        _coco(
            [{"id": 1, "file_name": "val2017/c.png"}, {"id": 2, "file_name": "val2017/d.png"}],
            [(1, 7, [1, 1, 400, 400])],
        )
    )
    return tmp_path


def test_images_of_one_class_have_its_label_and_the_split_of_the_file(root: Path) -> None:
    assert find_adapter(root)[0] == "coco"
    images, rejected = list_dataset(root)
    assert get_labels(images) == {
        "train2017/a.png": ("cat", "train"),
        "val2017/c.png": ("dog", "val"),
    }
    assert images["train2017/a.png"].captured_at is not None
    assert rejected == {
        "train2017/b.png": "shows several classes (cat, dog); "
        "ingest.crop_boxes=true makes each box an image",
        "gone.png": "listed in annotations/instances_train2017.json, but there is no such file",
        "val2017/d.png": "no annotation",
        "stray.png": "not listed in the annotations",
    }


def test_boxes_are_images_of_their_own_in_one_group(root: Path) -> None:
    images, _ = list_dataset(root, should_crop_boxes=True)
    assert {path: image.label for path, image in images.items()} == {
        "train2017/a.png#100": "cat",
        "train2017/a.png#101": "cat",
        "train2017/b.png#102": "cat",
        "train2017/b.png#103": "dog",
        "val2017/c.png#100": "dog",
    }
    whole = np.asarray(Image.open(root / "train2017/a.png"))
    assert (open_image(images["train2017/a.png#100"].source) == whole[3:8, 2:12]).all()
    assert open_image(images["val2017/c.png#100"].source).shape == (
        15,
        23,
        3,
    )  # cut at the image's edge
    assert {images[f"train2017/a.png#{n}"].group for n in (100, 101)} == {"train2017/a.png"}


@pytest.mark.parametrize(
    "box", [None, "x", [1, 2, 3], [0, 0, 0, 5], [float("nan")] * 4, [0, 0, 1e30, 1]]
)
def test_a_box_that_is_none_is_set_aside(tmp_path: Path, box: object) -> None:
    write_images(tmp_path, "a.png", "b.png")
    marks = [(1, 1, box), (2, 7, [0, 0, 5, 5])]
    (tmp_path / "a.json").write_text(
        _coco([{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}], marks)
    )
    images, rejected = list_dataset(tmp_path, should_crop_boxes=True)
    assert list(images) == ["b.png#101"]
    assert "box" in rejected["a.png#100"]


def test_other_json_is_not_coco_and_no_adapter_takes_boxes_that_has_none(tmp_path: Path) -> None:
    write_images(tmp_path, "cat/a.png", "dog/b.png")
    (tmp_path / "notes.json").write_text('{"images": 3}')
    assert find_adapter(tmp_path)[0] == "folder"
    with pytest.raises(InputError, match=r"ingest\.crop_boxes: the adapter folder does not use it"):
        list_dataset(tmp_path, should_crop_boxes=True)
    with pytest.raises(InputError, match="no COCO annotations"):
        list(read_dataset(tmp_path, "coco"))


@pytest.mark.parametrize("boxes", [False, True])
@pytest.mark.parametrize("form", ARCHIVE_FORMATS)
def test_in_an_archive_it_is_as_in_a_folder(root: Path, form: str, boxes: bool) -> None:
    images, rejected = list_dataset(root, should_crop_boxes=boxes)
    (root / "stray.png").rename(
        root / "val2017" / "stray.png"
    )  # else the folder in the archive looks like a class
    inside, aside = list_dataset(pack_folder(root, form), should_crop_boxes=boxes)
    aside["stray.png"] = aside.pop("val2017/stray.png")
    assert get_labels(inside) == get_labels(images) != {}
    assert aside == rejected != {}


def test_fields_of_camera_traps_are_kept(tmp_path: Path) -> None:
    write_images(tmp_path, "a.png", "b.png")
    entries: list[dict[str, object]] = [
        {
            "id": f"x{n}",
            "file_name": name,
            "seq_id": "s1",
            "location": 46,
            "datetime": "2013-05-31 08:00:00",
            "rights": ["us"],
        }
        for n, name in enumerate(("a.png", "b.png"))
    ]
    value = json.loads(_coco(entries, []))
    value["annotations"] = [{"id": n, "image_id": f"x{n}", "category_id": 1} for n in (0, 1)]
    (tmp_path / "camera_traps.json").write_text(json.dumps(value))
    images, _ = list_dataset(tmp_path)
    assert dict(images["a.png"].columns) == {"seq_id": "s1", "location": 46}
    assert str(images["a.png"].captured_at) == "2013-05-31 08:00:00"
