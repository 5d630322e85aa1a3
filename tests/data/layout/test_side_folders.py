"""Folders beside the images: pipeline/data/layout/side_folders.py."""

from __future__ import annotations

import pytest

from pipeline.data.layout.side_folders import find_side_folders, list_child_folders


@pytest.mark.parametrize(
    ("folders", "side", "unsure"),
    [
        (["images", "train_masks"], {"train_masks"}, []),
        (["images", "annotations/trimaps"], {"annotations"}, []),
        (["test/a", "ground_truth/a"], {"ground_truth"}, []),
        (["images", "mask"], {"mask"}, []),
        (["gloves", "mask"], set(), ["mask"]),
        (["cat", "images to predict"], {"images to predict"}, []),
        (["masks"], set(), []),
        (["cat", "dog"], set(), []),
    ],
)
def test_side_folders(folders: list[str], side: set[str], unsure: list[str]) -> None:
    found = find_side_folders({folder: ["1.jpg", "2.jpg"] for folder in folders})
    assert (set(found[0]), found[1]) == (side, unsure)


def test_child_folders_include_those_without_images_of_their_own() -> None:
    assert list_child_folders(["a/b/c", "a/d", ""]) == {"": ["a"], "a": ["b", "d"], "a/b": ["c"]}
