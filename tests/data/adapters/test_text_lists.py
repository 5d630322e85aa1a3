"""Text lists of images: pipeline/data/adapters/text_lists.py."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter, read_dataset
from pipeline.data.reading.image_record import ImageRecord
from tests.data.sample_images import ARCHIVE_FORMATS, list_dataset, pack_folder, write_images

CLASSES = ("daisy", "rose", "tulip")


def _write_lists(root: Path, line: str = "images/{split}_{n}.jpg {label}", first: int = 0) -> Path:
    """Write 12 images for train and 6 for val, and a list of each split."""
    for split, count in (("train", 12), ("val", 6)):
        names = [f"images/{split}_{n}.jpg" for n in range(count)]
        write_images(root, *names)
        lines = [line.format(split=split, n=n, label=n % 3 + first, coarse=0) for n in range(count)]
        (root / f"{split}_list.txt").write_text("\n".join(lines) + "\n")
    return root


def _count(root: Path) -> Counter[tuple[str | None, str | None]]:
    images, _ = list_dataset(root)
    return Counter((image.split, image.label) for image in images.values())


@pytest.mark.parametrize(
    "line",
    [
        "images/{split}_{n}.jpg {label}",
        "{split}_{n}.jpg\t{label}",
        "./images/{split}_{n}.jpg,{label}",
        "/home/me/data/images/{split}_{n}.jpg {label} {coarse}",
        "{split}_{n} {label}",
    ],
)
def test_path_and_label_in_every_spelling(tmp_path: Path, line: str) -> None:
    root = _write_lists(tmp_path, line)
    assert find_adapter(root)[0] == "text_lists"
    assert _count(root) == {
        (split, str(label)): count
        for split, count in (("train", 4), ("val", 2))
        for label in range(3)
    }


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_get_the_names_of_a_file_of_classes(tmp_path: Path, first: int) -> None:
    root = _write_lists(tmp_path, first=first)
    (root / "labels.txt").write_text("\n".join(CLASSES))
    assert {label for _, label in _count(root)} == set(CLASSES)


def test_paths_alone_are_labeled_by_their_folder(tmp_path: Path) -> None:
    names = [f"images/{name}/{n}.jpg" for name in CLASSES for n in range(4)]
    write_images(tmp_path, *names)
    (tmp_path / "meta").mkdir()
    for split, part in (("train", names[::2]), ("test", names[1::2])):
        lines = [name.removeprefix("images/").removesuffix(".jpg") for name in part]
        (tmp_path / "meta" / f"{split}.txt").write_text("\n".join(lines))
    assert _count(tmp_path) == {(split, name): 2 for split in ("train", "test") for name in CLASSES}


def test_the_first_fold_counts_and_trainval_gives_way(tmp_path: Path) -> None:
    names = [f"images/{name}/{name}_{n}.jpg" for name in CLASSES for n in range(6)]
    write_images(tmp_path, *names)
    (tmp_path / "labels").mkdir()
    parts = {"train1": names[::3], "val1": names[1::3], "test1": names[2::3], "train2": names[2::3]}
    parts |= {"test2": names[::3], "trainval1": [*names[::3], *names[1::3]]}
    for name, lines in parts.items():
        (tmp_path / "labels" / f"{name}.txt").write_text("\n".join(lines))
    counts = Counter(split for split, _ in _count(tmp_path).elements())
    assert counts == {"train": 6, "val": 6, "test": 6}


def test_masks_of_the_same_names_are_not_taken(tmp_path: Path) -> None:
    names = [f"Abyssinian_{n}" for n in range(6)] + [f"beagle_{n}" for n in range(6)]
    write_images(tmp_path, *[f"images/{name}.jpg" for name in names])
    write_images(tmp_path, *[f"annotations/trimaps/{name}.png" for name in names])
    lines = [f"{name} {1 + (name < 'a')} 1 1" for name in names]
    (tmp_path / "annotations" / "list.txt").write_text(
        "#Image CLASS-ID SPECIES BREED ID\n" + "\n".join(lines)
    )
    (tmp_path / "annotations" / "test.txt").write_text("\n".join(lines[::2]))
    (tmp_path / "annotations" / "trainval.txt").write_text("\n".join(lines[1::2]))
    images, _ = list_dataset(tmp_path)
    assert all(path.startswith("images/") for path in images)
    assert _count(tmp_path) == {
        (split, label): 3 for split in ("train", "test") for label in ("1", "2")
    }


def test_the_companions_of_cub(tmp_path: Path) -> None:
    names = [f"{k:03d}.Bird_{k}/bird_{k}_{n}.jpg" for k in (1, 2) for n in range(4)]
    write_images(tmp_path, *[f"images/{name}" for name in names])
    tables = {
        "images": [f"{number} {name}" for number, name in enumerate(names, 1)],
        "image_class_labels": [f"{number} {1 + number // 5}" for number in range(1, 9)],
        "train_test_split": [f"{number} {number % 2}" for number in range(1, 9)],
        "classes": ["1 001.Bird_1", "2 002.Bird_2"],
    }
    for name, lines in tables.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    assert _count(tmp_path) == {
        (split, f"00{k}.Bird_{k}"): 2 for split in ("train", "test") for k in (1, 2)
    }


def test_classes_of_several_words(tmp_path: Path) -> None:
    labels = ["Boeing 727-200", "A300", "Airbus A310 B"]
    write_images(tmp_path, *[f"images/{n:07d}.jpg" for n in range(12)])
    lines = [f"{n:07d} {labels[n % 3]}" for n in range(12)]
    (tmp_path / "images_variant_train.txt").write_text("\n".join(lines))
    assert _count(tmp_path) == {("train", label): 4 for label in labels}


def test_lists_of_several_levels_stop(tmp_path: Path) -> None:
    write_images(tmp_path, *[f"images/{n:07d}.jpg" for n in range(12)])
    for level, labels in (("family", ["Boeing 727", "A300"]), ("maker", ["Boeing Inc", "Airbus"])):
        lines = [f"{n:07d} {labels[n % 2]}" for n in range(12)]
        (tmp_path / f"images_{level}_train.txt").write_text("\n".join(lines))
    with pytest.raises(InputError, match="several labels in images_family_train"):
        list(read_dataset(tmp_path))


def test_boxes_are_no_labels_and_val_is_labeled_by_its_list(tmp_path: Path) -> None:
    """Tiny ImageNet: boxes beside the training images, one list for val."""
    for name in ("n01", "n02"):
        files = [f"{name}_{n}.JPEG" for n in range(4)]
        write_images(tmp_path, *[f"train/{name}/images/{file}" for file in files])
        boxes = "\n".join(f"{file}\t0\t0\t62\t{60 + len(file)}" for file in files)
        (tmp_path / "train" / name / f"{name}_boxes.txt").write_text(boxes)
    write_images(tmp_path, *[f"val/images/val_{n}.JPEG" for n in range(4)])
    lines = [f"val_{n}.JPEG\tn0{1 + n % 2}\t0\t0\t63\t63" for n in range(4)]
    (tmp_path / "val" / "val_annotations.txt").write_text("\n".join(lines))
    assert _count(tmp_path) == {
        ("train", "n01"): 4,
        ("train", "n02"): 4,
        ("val", "n01"): 2,
        ("val", "n02"): 2,
    }


@pytest.mark.parametrize("form", ARCHIVE_FORMATS)
def test_lists_in_an_archive(tmp_path: Path, form: str) -> None:
    archive = pack_folder(_write_lists(tmp_path / "flowers"), form)
    assert _count(archive)["train", "0"] == 4


def test_other_text_is_no_list(tmp_path: Path) -> None:
    write_images(tmp_path, *[f"{name}/{n}.jpg" for name in "ab" for n in range(4)])
    (tmp_path / "README.txt").write_text("Images of a and b.\n1 2 3\n")
    (tmp_path / "classes.txt").write_text("a\nb\n")
    assert find_adapter(tmp_path)[0] == "folder"
    (tmp_path / "gone.txt").write_text("x/1.jpg 0\nx/2.jpg 1\n")
    with pytest.raises(InputError, match="no text file in it lists"):
        list(read_dataset(tmp_path / "a", "text_lists"))


def test_names_without_an_image_are_rejected(tmp_path: Path) -> None:
    root = _write_lists(tmp_path)
    with (root / "val_list.txt").open("a") as file:
        file.write("images/gone.jpg 1\n")
    images = [item for item in read_dataset(root) if isinstance(item, ImageRecord)]
    _, rejected = list_dataset(root)
    assert len(images) == 18
    assert "no such file" in rejected["val_list.txt: images/gone.jpg"]
