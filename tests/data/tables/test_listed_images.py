"""Images that lists name: pipeline/data/tables/listed_images.py."""

from __future__ import annotations

import pytest

from pipeline.data.tables.listed_images import (
    ListedImageFinder,
    get_class_folder,
    parse_list_split,
    parse_path_split,
)


@pytest.mark.parametrize(
    "listed",
    [
        "images/IMG_1.jpg",
        "IMG_1.jpg",
        "IMG_1",
        "C:\\Users\\me\\images\\IMG_1.jpg",
        "/data/upload/3/0123abcd-IMG_1.jpg",
        "/data/local-files/?d=images/IMG_1.jpg",
        "s3://bucket/x/IMG_1.jpg",
        "https://host/IMG_1.jpg?width=3",
        "gs://bucket/images/IMG_1.png",
    ],
)
def test_a_name_leads_to_its_image_whatever_is_around_it(listed: str) -> None:
    index = ListedImageFinder(["images/IMG_1.jpg", "images/IMG_2.jpg", "list.txt"])
    assert index.find_images([listed, "images/IMG_2.jpg"])[0] == "images/IMG_1.jpg"


def test_of_equal_names_the_folders_decide() -> None:
    index = ListedImageFinder(["a/1.jpg", "b/1.jpg", "images/2.jpg", "masks/2.png"])
    assert index.find_images(["b/1.jpg", "/x/a/1", "2"]) == ["b/1.jpg", "a/1.jpg", "images/2.jpg"]
    assert index.find_images(["1.jpg"]) == [None]
    assert index.find_images(["1.jpg"], "b") == ["b/1.jpg"]


def test_splits_and_classes_in_names() -> None:
    assert parse_list_split("meta/Training_01.txt") == "train"
    assert parse_list_split("train_val_map.txt") is None
    assert parse_path_split("x/Valid/cat/1.jpg") == "val"
    assert parse_path_split("train/test/1.jpg") is None
    assert get_class_folder("train/n01/images/1.jpg") == "n01"
    assert get_class_folder("val/images/1.jpg") is None
