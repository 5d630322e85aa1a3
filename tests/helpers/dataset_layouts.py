"""Generated layouts of data sets, with the label and split that each image truly has."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

CLASSES = ("daisy", "rose", "tulip")
IMAGES_PER_CLASS = 8
_SPLITS = ("train", "train", "train", "train", "train", "train", "val", "test")

LABEL_FORMS = (
    "folder",
    "table",
    "stem_table",
    "number_table",
    "headless_table",
    "semicolon_table",
    "json_lines",
    "address_table",
    "joined_table",
    "text_list",
    "one_hot",
    "json",
)
NESTINGS = ("plain", "images", "deep", "doubled")
SPLIT_FORMS = ("none", "folders", "affixed_folders", "column", "tables")
NEIGHBORS = (
    "nothing",
    "documents",
    "masks",
    "previews",
    "unlabeled",
    "submission",
    "side_table",
    "decoy_columns",
)


@dataclass
class GeneratedLayout:
    """A data set on disk and its truth.

    Attributes:
        root: its folder.
        labels: the class of each image by path below the root.
        splits: the split of each image by path; empty if none is given.
    """

    root: Path
    labels: dict[str, str] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Item:
    number: int
    label: str
    split: str

    @property
    def stem(self) -> str:
        return f"img_{self.number:04d}"


def list_layouts() -> Iterator[tuple[str, str, str, str]]:
    """Yield label form, nesting, split form and neighbor of every layout that makes sense."""
    for form, nesting, split, neighbor in itertools.product(
        LABEL_FORMS, NESTINGS, SPLIT_FORMS, NEIGHBORS
    ):
        is_folder = form == "folder"
        if is_folder and split in ("column", "tables"):
            continue
        if split == "tables" and form in ("json", "joined_table"):
            continue
        if split == "column" and form in ("text_list", "one_hot", "json"):
            continue
        if neighbor in ("side_table", "decoy_columns", "submission") and form in (
            "text_list",
            "json",
        ):
            continue
        if nesting == "doubled" and (is_folder or split != "none"):
            continue
        yield form, nesting, split, neighbor


def generate_layout(
    root: Path, form: str, nesting: str, split: str, neighbor: str
) -> GeneratedLayout:
    """Write a data set and return its truth."""
    layout = GeneratedLayout(root)
    items = []
    for number in range(len(CLASSES) * IMAGES_PER_CLASS):
        position = number // len(CLASSES)
        items.append(_Item(number, CLASSES[number % len(CLASSES)], _SPLITS[position]))
    paths = {item.number: _place(item, form, nesting, split) for item in items}
    for item in items:
        _write_image(root / paths[item.number])
        layout.labels[paths[item.number]] = item.label
        if split != "none":
            layout.splits[paths[item.number]] = item.split
    _LABEL_WRITERS[form](root, items, paths, split, neighbor)
    _write_neighbor(root, items, paths, form, neighbor)
    return layout


def _place(item: _Item, form: str, nesting: str, split: str) -> str:
    folders = []
    if split == "folders":
        folders.append({"train": "train", "val": "valid", "test": "test"}[item.split])
    elif split == "affixed_folders":
        folders.append(f"flowers_{item.split}")
    if nesting == "images":
        folders = [*folders, "images"] if form != "folder" else ["images", *folders]
    elif nesting == "deep":
        folders = ["data", "images", *folders]
    elif nesting == "doubled":
        folders = [*folders, "img_flowers", "img_flowers"]
    if form == "folder":
        folders.append(item.label)
    return "/".join([*folders, f"{item.stem}.png"])


def _write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_IMAGE_BYTES)


def _encode_image() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "PNG")
    return file.getvalue()


_IMAGE_BYTES = _encode_image()
_Paths = dict[int, str]
_Rows = list[dict[str, object]]


def _build_rows(items: list[_Item], split: str, neighbor: str) -> _Rows:
    rows: _Rows = []
    for item in items:
        row: dict[str, object] = {}
        if neighbor == "decoy_columns":
            row |= {
                "uid": f"u{item.number * 7919 % 1009}",
                "age": 30 + item.number % 5,
                "spacing": 0.143 if item.number % 2 else 0.194,
                "site": "north",
                "taken": f"2024-05-{1 + item.number % 28:02d}",
                "PatientID": f"p{item.number // 2:03d}",
            }
        row |= {"label": item.label}
        if split == "column":
            row["data set"] = item.split
        rows.append(row)
    return rows


def _write_csv(path: Path, rows: _Rows, delimiter: str = ",", has_heading: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        if has_heading:
            writer.writeheader()
        writer.writerows(rows)


def _write_tables(
    write: Callable[[str, list[_Item]], None], items: list[_Item], split: str, name: str
) -> None:
    """Write one table, or one for each split."""
    if split != "tables":
        write(name, items)
        return
    for part in ("train", "val", "test"):
        write(f"{part}_{name}", [item for item in items if item.split == part])


def _build_table_writer(
    file_column: str,
    label_column: str,
    spell: Callable[[str], str],
    spell_label: Callable[[str], object] = lambda label: label,
    delimiter: str = ",",
    has_heading: bool = True,
) -> Callable[[Path, list[_Item], _Paths, str, str], None]:
    def write_table(
        root: Path, items: list[_Item], paths: _Paths, split: str, neighbor: str
    ) -> None:
        def write(name: str, part: list[_Item]) -> None:
            rows: _Rows = []
            for item, row in zip(part, _build_rows(part, split, neighbor), strict=True):
                label = spell_label(str(row.pop("label")))
                rows.append({file_column: spell(paths[item.number]), **row, label_column: label})
            _write_csv(root / f"{name}.csv", rows, delimiter, has_heading)

        _write_tables(write, items, split, "list")

    return write_table


def _get_stem(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".png")


def _write_nothing(
    root: Path, items: list[_Item], paths: _Paths, split: str, neighbor: str
) -> None:
    """Folders alone give the labels."""


def _write_json_lines(
    root: Path, items: list[_Item], paths: _Paths, split: str, neighbor: str
) -> None:
    def write(name: str, part: list[_Item]) -> None:
        rows = _build_rows(part, split, neighbor)
        for item, row in zip(part, rows, strict=True):
            row["image"] = paths[item.number]
        (root / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))

    _write_tables(write, items, split, "list")


def _write_joined_tables(
    root: Path, items: list[_Item], paths: _Paths, split: str, neighbor: str
) -> None:
    """Write labels as numbers, their names in classes.csv, and the split in a table of its own."""
    rows = _build_rows(items, "none", neighbor)
    for item, row in zip(items, rows, strict=True):
        row["label"] = CLASSES.index(item.label)
        row["image_id"] = item.stem
    _write_csv(root / "labels.csv", rows)
    names: _Rows = [{"label": n, "name": name} for n, name in enumerate(CLASSES)]
    _write_csv(root / "classes.csv", names)
    if split == "column":
        numbers = {"train": 0, "val": 1, "test": 2}
        parts: _Rows = [{"image_id": i.stem, "partition": numbers[i.split]} for i in items]
        _write_csv(root / "list_eval_partition.csv", parts)


def _write_text_lists(
    root: Path, items: list[_Item], paths: _Paths, split: str, neighbor: str
) -> None:
    def write(name: str, part: list[_Item]) -> None:
        lines = [f"{paths[item.number]} {CLASSES.index(item.label)}" for item in part]
        (root / f"{name}.txt").write_text("\n".join(lines))

    _write_tables(write, items, split, "list")


def _write_one_hot(
    root: Path, items: list[_Item], paths: _Paths, split: str, neighbor: str
) -> None:
    def write(name: str, part: list[_Item]) -> None:
        rows: _Rows = []
        for item, row in zip(part, _build_rows(part, split, neighbor), strict=True):
            del row["label"]
            marks = {label: int(label == item.label) for label in CLASSES}
            rows.append({"image_id": item.stem, **row, **marks})
        _write_csv(root / f"{name}.csv", rows)

    _write_tables(write, items, split, "list")


def _write_json(root: Path, items: list[_Item], paths: _Paths, split: str, neighbor: str) -> None:
    labels = {item.stem: CLASSES.index(item.label) for item in items}
    (root / "labels.json").write_text(json.dumps({"classes": CLASSES, "labels": labels}))


_LABEL_WRITERS: dict[str, Callable[[Path, list[_Item], _Paths, str, str], None]] = {
    "folder": _write_nothing,
    "table": _build_table_writer("filename", "species", str),
    "stem_table": _build_table_writer("id_code", "diagnosis", _get_stem),
    "number_table": _build_table_writer("image", "target", str, CLASSES.index),
    "headless_table": _build_table_writer("path", "class", str, has_heading=False),
    "semicolon_table": _build_table_writer("Filename", "ClassId", str, delimiter=";"),
    "json_lines": _write_json_lines,
    "address_table": _build_table_writer("url", "label", "gs://bucket/flowers/{}".format),
    "joined_table": _write_joined_tables,
    "text_list": _write_text_lists,
    "one_hot": _write_one_hot,
    "json": _write_json,
}


def _write_neighbor(
    root: Path, items: list[_Item], paths: _Paths, form: str, neighbor: str
) -> None:
    if neighbor == "documents":
        (root / "README.md").write_text("flowers")
        (root / "classes.txt").write_text("\n".join(CLASSES))
    elif neighbor == "masks":
        for item in items:
            _write_image(root / "annotations" / "trimaps" / f"{item.stem}.png")
    elif neighbor == "previews":
        for item in items:
            _write_image(root / "thumbnails" / paths[item.number])
    elif neighbor == "unlabeled":
        for number in range(5):
            _write_image(root / "images to predict" / f"{number}.png")
    elif neighbor == "submission":
        rows: _Rows = [{"filename": f"x{n}.png", "label": CLASSES[0]} for n in range(12)]
        _write_csv(root / "sample_submission.csv", rows)
        for number in range(12):
            _write_image(root / "test_images" / f"x{number}.png")
    elif neighbor == "side_table":
        side: _Rows = [
            {"image": paths[i.number], "lux": 10 + i.number, "patient": f"p{i.number // 2}"}
            for i in items
        ]
        _write_csv(root / "conditions.csv", side)
