"""Exports of services and data sets as users bring them: small copies of their layouts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import read_dataset
from pipeline.data.reading.image_record import ImageRecord, RejectedFile
from pipeline.data.recognition.config_proposal import propose_config
from pipeline.data.recognition.read_plan import infer_read_plan
from tests.data.sample_images import write_images


def _read(root: Path) -> tuple[Counter[tuple[str | None, str | None]], Counter[str]]:
    """Return the images by split and label, and the rejected files by reason."""
    plan, _ = infer_read_plan(root)
    items = list(read_dataset(root, plan.adapter, plan.options))
    images = Counter((i.split, i.label) for i in items if isinstance(i, ImageRecord))
    return images, Counter(i.reason for i in items if isinstance(i, RejectedFile))


def test_food_is_labeled_by_its_folders_and_split_by_its_lists(tmp_path: Path) -> None:
    """Folders of classes below `images`, lists of both splits in `meta`."""
    classes = ("apple_pie", "baklava", "churros")
    names = {c: [f"{c}/{1000 + n}" for n in range(8)] for c in classes}
    write_images(tmp_path, *[f"images/{name}.jpg" for c in classes for name in names[c]])
    (tmp_path / "meta").mkdir()
    for split, part in (("train", slice(0, 6)), ("test", slice(6, 8))):
        content = {c: names[c][part] for c in classes}
        (tmp_path / "meta" / f"{split}.json").write_text(json.dumps(content))
        lines = [name for c in classes for name in names[c][part]]
        (tmp_path / "meta" / f"{split}.txt").write_text("\n".join(lines))
    (tmp_path / "meta" / "classes.txt").write_text("\n".join(classes))
    (tmp_path / "license_agreement.txt").write_text("x")
    assert _read(tmp_path)[0] == {
        (split, c): count for split, count in (("train", 6), ("test", 2)) for c in classes
    }


def test_a_service_writes_one_hot_tables_into_each_split(tmp_path: Path) -> None:
    """The header has spaces, and the test lacks a class."""
    for split, kinds in (("train", "cdf"), ("valid", "cdf"), ("test", "cd")):
        names = [f"{kind}-{n}_jpg.rf.{n:032x}.jpg" for kind in kinds for n in range(4)]
        write_images(tmp_path, *[f"{split}/{name}" for name in names])
        rows = [", ".join([name, *(str(int(name[0] == kind)) for kind in "cdf")]) for name in names]
        (tmp_path / split / "_classes.csv").write_text("\n".join(["filename, c, d, f", *rows]))
    images, _ = _read(tmp_path)
    assert images == {
        (split, kind): 4
        for split, kinds in (("train", "cdf"), ("val", "cdf"), ("test", "cd"))
        for kind in kinds
    }
    assert "label: c, d, f" in propose_config(tmp_path).config_yaml


def test_rows_with_no_class_and_with_several_are_counted(tmp_path: Path) -> None:
    names = [f"Train_{n}" for n in range(40)]
    write_images(tmp_path, *[f"images/{name}.jpg" for name in names])
    rows = [[str(int(n % 4 == k)) for k in range(4)] for n in range(40)]
    rows[0], rows[1] = ["0"] * 4, ["1", "1", "0", "0"]
    lines = [",".join([name, *row]) for name, row in zip(names, rows, strict=True)]
    (tmp_path / "train.csv").write_text(
        "\n".join(["image_id,healthy,multiple_diseases,rust,scab", *lines])
    )
    images, reasons = _read(tmp_path)
    assert images.total() == 38
    assert (reasons["no label"], reasons["several labels"]) == (1, 1)


def test_negative_rows_of_open_images_are_left_out(tmp_path: Path) -> None:
    names = [f"{n:016x}" for n in range(30)]
    write_images(tmp_path, *[f"train/{name}.jpg" for name in names])
    rows = []
    for n, name in enumerate(names):
        rows.append(f"{name},verification,/m/0{(n + 1) % 3},0")
        rows.append(f"{name},verification,/m/0{n % 3},1")
    (tmp_path / "train-annotations-human-imagelabels.csv").write_text(
        "\n".join(["ImageID,Source,LabelName,Confidence", *rows])
    )
    images, _ = _read(tmp_path)
    assert images == {(None, f"/m/0{k}"): 10 for k in range(3)} or images == {
        ("train", f"/m/0{k}"): 10 for k in range(3)
    }


def test_the_solution_of_a_contest_holds_classes_with_boxes(tmp_path: Path) -> None:
    names = [f"n0{n % 3}_{n}" for n in range(12)]
    write_images(tmp_path, *[f"Data/train/{name[:3]}/{name}.JPEG" for name in names])
    write_images(tmp_path, *[f"Data/val/val_{n:08d}.JPEG" for n in range(6)])
    train = [f"{name},{name[:3]} 1 2 {30 + n} 40 " for n, name in enumerate(names)]
    val = [f"val_{n:08d},n0{n % 3} 1 2 {9 + n} 40 n0{n % 3} 1 2 3 4 " for n in range(6)]
    for split, rows in (("train", train), ("val", val)):
        table = tmp_path / f"LOC_{split}_solution.csv"
        table.write_text("\n".join(["ImageId,PredictionString", *rows]))
    assert _read(tmp_path)[0] == {
        (split, f"n0{k}"): count for split, count in (("train", 4), ("val", 2)) for k in range(3)
    }


@pytest.mark.parametrize("separator", [" ", "|", ";", ", "])
def test_several_labels_in_a_cell_stop_with_the_way_out(tmp_path: Path, separator: str) -> None:
    cells = ["scab", "rust", "healthy", separator.join(["scab", "rust"])]
    write_images(tmp_path, *[f"{n}.jpg" for n in range(24)])
    rows = [f'{n}.jpg,"{cells[n % 4]}"' for n in range(24)]
    (tmp_path / "metadata.csv").write_text("\n".join(["image,labels", *rows]))
    with pytest.raises(InputError, match=r"6 of 24 .*scab and rust.*ingest\.multi: drop"):
        _read(tmp_path)


def test_one_mark_of_many_is_not_taken_for_the_label(tmp_path: Path) -> None:
    """A hospital's table with a column for each finding: the user is asked."""
    write_images(tmp_path, *[f"{n}.png" for n in range(24)])
    marks = [[["1.0", "", "0.0"][n // step % 3] for step in (1, 2, 4)] for n in range(24)]
    rows = [",".join([f"{n}.png", *row]) for n, row in enumerate(marks)]
    (tmp_path / "train.csv").write_text("\n".join(["Path,No Finding,Edema,Fracture", *rows]))
    with pytest.raises(InputError, match=r"ingest\.label|ingest\.multi"):
        _read(tmp_path)
