"""PASCAL VOC: pipeline/data/adapters/voc.py."""

from __future__ import annotations

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

OBJECT = (
    "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin>"
    "<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)


def _annotate(root: Path, name: str, *objects: tuple[object, ...], head: str = "") -> None:
    text = (
        head + "<annotation>" + "".join(OBJECT.format(*item) for item in objects) + "</annotation>"
    )
    (root / "VOC2012" / "Annotations").mkdir(parents=True, exist_ok=True)
    (root / "VOC2012" / "Annotations" / f"{name}.xml").write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_images(tmp_path, *(f"VOC2012/JPEGImages/{name}.jpg" for name in "abcde"))
    _annotate(tmp_path, "a", ("cat", 3, 4, 12, 8))
    _annotate(tmp_path, "b", ("dog", 1, 1, 5, 5), ("dog", 2, 2, 9, 9))
    _annotate(tmp_path, "c", ("dog", 1, 1, 5, 5), ("cat", 2, 2, "x", 9))
    _annotate(tmp_path, "gone", ("cat", 1, 1, 5, 5))
    _annotate(tmp_path, "d", ("cat", 1, 1, 5, 5), head='<!DOCTYPE x [<!ENTITY a "aaa">]>')
    sets = tmp_path / "VOC2012" / "ImageSets" / "Main"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("a\n")
    (sets / "val.txt").write_text("b -1\n\n")
    (sets / "cat_train.txt").write_text("c  1\n")
    return tmp_path


def test_labels_splits_and_rejections(root: Path) -> None:
    assert find_adapter(root) == ("voc", "VOC annotations, 5 XML files")
    images, rejected = list_dataset(root)
    assert get_labels(images) == {
        "JPEGImages/a.jpg": ("cat", "train"),
        "JPEGImages/b.jpg": ("dog", "val"),
    }
    assert rejected == {
        "JPEGImages/c.jpg": "shows several classes (cat, dog); "
        "ingest.crop_boxes=true makes each box an image",
        "Annotations/gone.xml": "no image belongs to it",
        "Annotations/d.xml": "its XML cannot be read",
        "JPEGImages/d.jpg": "it has no annotation",
        "JPEGImages/e.jpg": "it has no annotation",
    }


def test_boxes(root: Path) -> None:
    images, rejected = list_dataset(root, should_crop_boxes=True)
    assert {path[11:]: image.label for path, image in images.items()} == {
        "a.jpg#0": "cat",
        "b.jpg#0": "dog",
        "b.jpg#1": "dog",
        "c.jpg#0": "dog",
    }
    assert rejected["JPEGImages/c.jpg#1"] == "its box is not four numbers"
    whole = np.asarray(Image.open(root / "VOC2012/JPEGImages/a.jpg")).astype(int)
    cut = open_image(images["JPEGImages/a.jpg#0"].source)
    assert cut.shape == (5, 10, 3)
    assert np.abs(cut - whole[3:8, 2:12]).max() <= 3


def test_no_annotations(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder Annotations"):
        list(read_dataset(write_images(tmp_path, "cat/a.jpg"), "voc"))


@pytest.mark.parametrize("boxes", [False, True])
@pytest.mark.parametrize("form", ARCHIVE_FORMATS)
def test_in_an_archive_it_is_as_in_a_folder(root: Path, form: str, boxes: bool) -> None:
    images, rejected = list_dataset(root, should_crop_boxes=boxes)
    inside, aside = list_dataset(pack_folder(root, form), should_crop_boxes=boxes)
    assert get_labels(inside) == get_labels(images) != {}
    assert aside == rejected != {}
