"""Which folders are classes, splits, copies: pipeline/data/layout/folder_*.py."""

from __future__ import annotations

import pytest

from pipeline.data.layout.folder_copies import find_copied_folders, find_repeated_names
from pipeline.data.layout.folder_layout import FolderLayout, recognize_layout
from pipeline.data.layout.folder_splits import find_folder_levels
from pipeline.data.layout.side_folders import list_child_folders

FILES = [f"{n:03d}.jpg" for n in range(6)]


def _recognize(*folders: str, level: str | int | None = None) -> FolderLayout:
    return recognize_layout(dict.fromkeys(folders, FILES), level)


@pytest.mark.parametrize(
    ("folders", "classes", "splits"),
    [
        (["cat", "dog"], ["cat", "dog"], []),
        (["train/cat", "train/dog", "test/cat"], ["cat", "dog"], ["test", "train"]),
        (["seg_train/seg_train/sea", "seg_train/seg_train/ice", "seg_test/seg_test/sea"], None, 2),
        (["training_set/cats", "training_set/dogs", "test_set/cats"], ["cats", "dogs"], 2),
        (["cat/train", "cat/test", "dog/train", "dog/test"], ["cat", "dog"], 2),
        (["a/b/train/cat", "a/b/train/dog", "a/b/val/cat"], ["cat", "dog"], ["train", "val"]),
        (["cat/images", "dog/images"], ["cat", "dog"], []),
        (["images/cat", "images/dog", "masks/cat", "masks/dog"], ["cat", "dog"], []),
        (["cat/images", "cat/masks", "dog/images", "dog/masks"], ["cat", "dog"], []),
        (["cat", "dog", "thumbnails/cat", "thumbnails/dog"], ["cat", "dog"], []),
        (["cat", "dog", "unlabeled"], ["cat", "dog"], []),
        (["mask", "no_mask"], ["mask", "no_mask"], []),
        (["with_mask", "without_mask"], ["with_mask", "without_mask"], []),
        (["train_station", "test_tube", "road"], ["road", "test_tube", "train_station"], []),
        (["part1/cat", "part1/dog", "part2/cat"], ["cat", "dog"], []),
        (["cat/patient_1", "cat/patient_2", "dog/patient_3"], ["cat", "dog"], []),
    ],
)
def test_classes_and_splits(
    folders: list[str], classes: list[str] | None, splits: list[str] | int
) -> None:
    layout = _recognize(*folders)
    assert layout.problem is None
    assert layout.class_names == (classes or ["ice", "sea"])
    assert layout.splits == splits or len(layout.splits) == splits


@pytest.mark.parametrize(
    "folders",
    [
        ["test", "control"],
        ["train", "bus", "car"],
        ["train_cats", "test_dogs"],
        ["color/cat", "color/dog", "gray/cat", "gray/dog"],
        ["animals/cat", "animals/dog", "plants/oak"],
        ["mask", "gloves", "helmet"],
        ["patient_01", "patient_02", "patient_03"],
    ],
)
def test_layouts_with_several_readings_are_refused(folders: list[str]) -> None:
    assert _recognize(*folders).problem


@pytest.mark.parametrize(
    "folders", [["train", "test"], ["cars_train", "cars_test"], ["images"], ["part1", "part2"]]
)
def test_folders_that_name_no_class_give_no_labels(folders: list[str]) -> None:
    assert _recognize(*folders).class_names == []


@pytest.mark.parametrize(
    ("level", "classes"), [("top", ["a", "b"]), (2, ["x", "y"]), ("leaf", ["x", "y"])]
)
def test_class_level_decides(level: str | int, classes: list[str]) -> None:
    folders = ["a/x", "a/y", "b/x"]
    assert "level 1: 2 (a 12, b 6)" in str(_recognize(*folders).problem)
    assert _recognize(*folders, level=level).class_names == classes
    assert "have 2" in str(_recognize(*folders, level=3).problem)


def test_groups_are_taken_from_folders_named_after_them() -> None:
    layout = _recognize("cat/video_1", "cat/video_2", "dog/video_3")
    assert {item.group for item in layout.labels.values()} == {"video_1", "video_2", "video_3"}


def test_most_images_must_be_in_class_folders() -> None:
    loose = [f"{n}.jpg" for n in range(20)]
    layout = recognize_layout({"": loose, "cat": FILES, "dog": FILES})
    assert "20 images are in no class folder" in str(layout.problem)
    layout = recognize_layout({"train/cat": FILES, "train/dog": FILES, "test": loose})
    assert layout.problem is None


def test_masks_of_images_in_the_same_folder_are_left_out() -> None:
    names = ["a (1).png", "a (1)_mask.png", "a (2).png", "a (2)_mask.png", "a (2)_mask_1.png"]
    layout = recognize_layout({"benign": names, "normal": ["b.png", "the_mask.png"]})
    assert sorted(layout.set_aside) == [
        "benign/a (1)_mask.png",
        "benign/a (2)_mask.png",
        "benign/a (2)_mask_1.png",
    ]


def test_copies_need_equal_sizes() -> None:
    files = dict.fromkeys(["yes", "brain/yes"], FILES)
    groups = [["yes", "brain/yes"]]
    copies, problem = find_copied_folders(groups, files, lambda one, other: True)
    assert (copies, problem) == ({"brain/yes": "a copy of yes/"}, None)
    copies, problem = find_copied_folders(groups, files, lambda one, other: False)
    assert copies == {}
    assert "brain/yes repeats the file names of yes" in str(problem)


@pytest.mark.parametrize(
    ("first", "second", "is_repeated"),
    [
        (FILES, FILES, False),  # numbered in both
        (FILES, [name.replace("jpg", "png") for name in FILES], True),
        (["ant.jpg", "bee.jpg", "cow.jpg"], ["ant.jpg", "bee.jpg", "cow.jpg"], True),
        (["ant.jpg", "bee.jpg", "cow.jpg"], ["ant.jpg", "bee.jpg", "dog.jpg"], False),
    ],
)
def test_repeated_names(first: list[str], second: list[str], is_repeated: bool) -> None:
    found = find_repeated_names({"a": first, "b": second}, {"a": None, "b": None})
    assert bool(found) == is_repeated


def test_strays_beside_splits_belong_to_none() -> None:
    children = list_child_folders(["train/cat", "test/cat", "extra"])
    levels = find_folder_levels(children)
    assert levels.splits == {"train": "train", "test": "test"}
    assert levels.strays == {"extra"}
