"""YOLO's detection labels: pipeline/data/adapters/yolo.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter, read_dataset
from tests.data.sample_images import list_dataset, write_images


@pytest.mark.parametrize(
    "layout", ["{split}/images/{n}.jpg", "images/{split}/{n}.jpg", "{split}/{n}.jpg"]
)
def test_images_of_one_class_are_labeled(tmp_path: Path, layout: str) -> None:
    for split in ("train", "valid"):
        for n in range(4):
            name = layout.format(split=split, n=n)
            write_images(tmp_path, name)
            label = tmp_path / Path(name.replace("images/", "labels/")).with_suffix(".txt")
            label.parent.mkdir(parents=True, exist_ok=True)
            lines = [f"{n % 2} 0.5 0.5 0.4 0.4"] * (n + 1)
            label.write_text("\n".join(lines))
    (tmp_path / "data.yaml").write_text("names: [car, bus]\nnc: 2\n")
    several = tmp_path / Path(
        layout.format(split="train", n=0).replace("images/", "labels/")
    ).with_suffix(".txt")
    several.write_text("0 .5 .5 .1 .1\n1 .5 .5 .1 .1")
    assert find_adapter(tmp_path)[0] == "yolo"
    images, rejected = list_dataset(tmp_path)
    assert {(image.split, image.label) for image in images.values()} == {
        (split, label) for split in ("train", "val") for label in ("car", "bus")
    }
    assert len(images) == 7
    assert sum("several classes (bus, car)" in reason for reason in rejected.values()) == 1


def test_other_text_beside_images_is_no_detection(tmp_path: Path) -> None:
    write_images(tmp_path, "a/1.jpg", "a/2.jpg", "b/3.jpg")
    for name in ("a/1", "a/2", "b/3"):
        (tmp_path / f"{name}.txt").write_text("a caption")
    assert find_adapter(tmp_path)[0] == "folder"
    with pytest.raises(InputError, match="no detection labels"):
        list(read_dataset(tmp_path.parent / "nothing", "yolo"))
