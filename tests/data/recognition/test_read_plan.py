"""How a data set is read: pipeline/data/recognition/read_plan.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.data.recognition.read_plan import build_read_plan, infer_read_plan
from tests.data.sample_images import write_images


def test_columns_with_default_names_need_no_setting(tmp_path: Path) -> None:
    write_images(tmp_path, *(f"{n}.png" for n in range(6)))
    rows = [f"{n}.png,{'ab'[n % 2]},2024-05-0{n + 1},cat" for n in range(6)]
    header = "file_name,label,captured_at,species"
    (tmp_path / "metadata.csv").write_text("\n".join([header, *rows]))
    plan, _ = infer_read_plan(tmp_path)
    assert plan.adapter == "manifest"
    assert (plan.options.file_column, plan.options.label_column) == (None, None)
    assert (plan.time_column, plan.split_column) == (None, None)


def test_columns_with_other_names_are_inferred(tmp_path: Path) -> None:
    write_images(tmp_path, *(f"{n}.png" for n in range(6)))
    rows = [f"{n}.png,{'ab'[n % 2]},2024-05-0{n + 1},train" for n in range(6)]
    (tmp_path / "labels.csv").write_text("\n".join(["bild,art,date,subset", *rows]))
    plan, _ = infer_read_plan(tmp_path)
    assert (plan.options.file_column, plan.options.label_column) == ("bild", "art")
    assert (plan.time_column, plan.split_column) == ("date", "subset")


@pytest.mark.parametrize(
    ("listed_name", "place"),
    [
        ("C:\\data\\{n}.png", "with 'images/' instead of 'C:/data/'"),
        ("{n}.png", "below 'images/'"),
        ("old/images/{n}.png", "without 'old/'"),
        ("images/{n}", "by their names without suffix"),
    ],
)
def test_shifted_names_are_described(tmp_path: Path, listed_name: str, place: str) -> None:
    write_images(tmp_path, *(f"images/{n}.png" for n in range(6)))
    rows = [f"{listed_name.format(n=n)},{'ab'[n % 2]}" for n in range(6)]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,label", *rows]))
    assert infer_read_plan(tmp_path)[1].endswith(f"its images are found {place}")


@pytest.mark.parametrize(("mixed_count", "should_crop"), [(1, False), (3, True)])
def test_boxes_are_cropped_if_most_images_show_several_classes(
    tmp_path: Path, mixed_count: int, should_crop: bool
) -> None:
    write_images(tmp_path, *(f"images/{n}.png" for n in range(4)))
    annotations = []
    for image in range(4):
        for category in (1, 2) if image < mixed_count else (1,):
            box = {"image_id": image, "category_id": category, "bbox": [0, 0, 8, 8]}
            annotations.append(box | {"id": len(annotations)})
    coco = {
        "images": [{"id": n, "file_name": f"images/{n}.png"} for n in range(4)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(coco))
    assert infer_read_plan(tmp_path)[0].options.should_crop_boxes == should_crop


def test_unlabeled_images_are_read_without_an_adapter(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file in it"):
        build_read_plan(tmp_path)
    write_images(tmp_path, "1.png", "2.png")
    assert build_read_plan(tmp_path).adapter is None


def test_unreadable_manifest_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path, "a.png")
    (tmp_path / "metadata.csv").write_bytes("file_name,label\na.png,Bär\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"metadata\.csv: cannot be read as a table: it is not"):
        build_read_plan(tmp_path)
