"""Manifests: pipeline/data/adapters/manifest.py."""

from __future__ import annotations

import csv
import json
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contracts import InputError
from pipeline.data.adapters.manifest import can_read, read_images
from pipeline.data.layout.undecided_data import UndecidedDataError
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import ImageRecord, ReadOptions, RejectedFile

Rows = list[dict[str, object]]


def _csv(path: Path, rows: Rows) -> None:
    pd.DataFrame(rows).to_csv(path.with_suffix(".csv"), index=False)


def _jsonl(path: Path, rows: Rows) -> None:
    path.with_suffix(".jsonl").write_text("\n".join(json.dumps(row) for row in rows))


def _parquet(path: Path, rows: Rows) -> None:
    pd.DataFrame(rows).to_parquet(path.with_suffix(".parquet"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "c.jpg", "deep/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def _images(root: Path, **names: str) -> dict[str, ImageRecord]:
    return {
        item.path: item
        for item in read_images(root, ReadOptions(**names))
        if isinstance(item, ImageRecord)
    }


def _rejected(root: Path) -> set[tuple[str, str]]:
    return {
        (item.path, item.reason) for item in read_images(root) if isinstance(item, RejectedFile)
    }


@pytest.mark.parametrize("write", [_csv, _jsonl, _parquet])
def test_every_format_gives_the_same_images(
    root: Path, write: Callable[[Path, Rows], None]
) -> None:
    write(
        root / "metadata",
        [
            {
                "file_name": "a.jpg",
                "label": "00",
                "split": "train",
                "group": "7",
                "captured_at": "2024-05-31T22:40",
                "lux": 3,
            },
            {
                "file_name": "b.jpg",
                "label": "01",
                "split": "valid",
                "group": "8",
                "captured_at": "2024-06-01",
                "lux": 4,
            },
        ],
    )
    images = _images(root)
    assert [(p.label, p.split, p.group) for p in images.values()] == [
        ("00", "train", "7"),
        ("01", "val", "8"),
    ]
    assert images["a.jpg"].captured_at == datetime(2024, 5, 31, 22, 40)
    assert images["a.jpg"].columns == {"lux": 3}
    assert images["a.jpg"].source == str(root / "a.jpg")
    assert _rejected(root) == {
        ("c.jpg", "not listed in the manifest"),
        ("deep/d.jpg", "not listed in the manifest"),
    }
    assert "metadata" in (can_read(FileTree(root)) or "")


@pytest.mark.parametrize("label", ["00", "1.50", "True", "NA", "null", "None", "1e3", "héron"])
def test_csv_labels_stay_text(root: Path, label: str) -> None:
    (root / "metadata.csv").write_text(f"file_name,label\na.jpg,{label}\n", encoding="utf-8")
    assert _images(root)["a.jpg"].label == label


@pytest.mark.parametrize(("value", "label"), [(0, "0"), (1.0, "1"), (True, "true"), ("00", "00")])
def test_jsonl_labels_become_text(root: Path, value: object, label: str) -> None:
    _jsonl(root / "metadata", [{"file_name": "a.jpg", "label": value}])
    assert _images(root)["a.jpg"].label == label


def test_integer_labels_with_a_hole_in_parquet(root: Path) -> None:
    _parquet(
        root / "metadata",
        [{"file_name": "a.jpg", "label": 3.0}, {"file_name": "b.jpg", "label": None}],
    )
    assert _images(root)["a.jpg"].label == "3"
    assert ("b.jpg", "no label") in _rejected(root)


def test_other_columns_are_numbers_only_where_all_of_them_are(root: Path) -> None:
    (root / "metadata.csv").write_text(
        "file_name,label,lux,code,badge,mixed,none\n"
        "a.jpg,x,3,007,true,1,\n"
        "b.jpg,y,4.5,010,False,two,\n"
        "c.jpg,y,,011,true,3,\n"
    )
    images = _images(root)
    assert [dict(image.columns) for image in images.values()] == [
        {"lux": 3, "code": "007", "badge": True, "mixed": "1", "none": None},
        {"lux": 4.5, "code": "010", "badge": False, "mixed": "two", "none": None},
        {"lux": None, "code": "011", "badge": True, "mixed": "3", "none": None},
    ]


@pytest.mark.parametrize("sign", [";", "\t"])
def test_other_separators_and_a_byte_order_mark(root: Path, sign: str) -> None:
    (root / "metadata.csv").write_text(
        f"file_name{sign}label\na.jpg{sign}x, y\n", encoding="utf-8-sig"
    )
    assert _images(root)["a.jpg"].label == "x, y"


def test_rows_that_are_set_aside(root: Path) -> None:
    (root / "README.md").touch()
    _csv(
        root / "metadata",
        [
            {"file_name": "a.jpg", "label": "x", "split": "train"},
            {"file_name": "./a.jpg", "label": "x", "split": "train"},
            {"file_name": "gone.jpg", "label": "x", "split": "train"},
            {"file_name": "/etc/passwd", "label": "x", "split": "train"},
            {"file_name": "deep/../../up.jpg", "label": "x", "split": "train"},
            {"file_name": "b.jpg", "label": "", "split": "train"},
            {"file_name": "c.jpg", "label": "x", "split": "elsewhere"},
            {"file_name": None, "label": "x", "split": "train"},
            {"file_name": "deep\\d.jpg", "label": "x", "split": None},
        ],
    )
    assert {p.path: p.split for p in _images(root).values()} == {
        "a.jpg": "train",
        "deep/d.jpg": None,
    }
    outside = "its path leads out of the data set's folder"
    assert _rejected(root) == {
        ("a.jpg", "listed more than once in metadata.csv"),
        ("gone.jpg", "listed in metadata.csv, but there is no such file"),
        ("/etc/passwd", outside),
        ("../up.jpg", outside),
        ("b.jpg", "no label"),
        ("c.jpg", "its split is none of train, val and test"),
        ("metadata.csv row 8", "no file name"),
        ("README.md", "not an image file"),
    }


def test_manifests_in_split_folders(root: Path) -> None:
    for name in ("train", "test"):
        (root / name).mkdir()
        (root / name / "x.jpg").touch()
        _csv(root / name / "metadata", [{"file_name": "x.jpg", "label": name[0]}])
    assert {(p.path, p.label, p.split) for p in _images(root).values()} == {
        ("train/x.jpg", "t", "train"),
        ("test/x.jpg", "t", "test"),
    }
    assert can_read(FileTree(root)) == "a manifest, test/metadata.csv and train/metadata.csv"


def test_the_label_column_may_have_another_name(root: Path) -> None:
    _csv(root / "metadata", [{"file_name": "a.jpg", "species": "01", "label": "kept"}])
    image = _images(root, label_column="species")["a.jpg"]
    assert (image.label, image.columns) == ("01", {"label": "kept"})


def test_a_time_that_cannot_be_read_is_kept_as_text(root: Path) -> None:
    _csv(root / "metadata", [{"file_name": "a.jpg", "label": "x", "captured_at": "dusk"}])
    image = _images(root)["a.jpg"]
    assert (image.captured_at, image.columns) == (None, {"captured_at": "dusk"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "file_name,lable\na.jpg,x\n",
            r"metadata\.csv: no column 'label'.*found: file_name, lable; did you mean",
        ),
        ("filenam,label\nq,x\nr,y\ns,x\n", r"no column 'file_name'.*did you mean filenam"),
        ("file_name,label\n", "lists no images"),
        ("", "cannot be read as a table"),
        ("file_name,label\na.jpg,x,y,z\nb.jpg,x\n", "line 2 has more values"),
        ('file_name,label\na.jpg,"x\n', "cannot be read as a table"),
    ],
)
def test_a_manifest_that_cannot_be_used(root: Path, text: str, message: str) -> None:
    (root / "metadata.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        list(read_images(root))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("metadata.csv", b"file_name,label\n\xff\xfe,x\n"),
        ("metadata.jsonl", b'{"file_name": "a.jpg"'),
        ("metadata.jsonl", b"[1, 2]"),
        ("metadata.parquet", b"PAR1"),
    ],
)
def test_broken_files_name_themselves(root: Path, name: str, data: bytes) -> None:
    (root / name).write_bytes(data)
    with pytest.raises(InputError, match=rf"{name}: cannot be read as a table"):
        list(read_images(root))


def test_no_manifest(root: Path) -> None:
    assert can_read(FileTree(root)) is None
    assert can_read(FileTree(root / "missing")) is None
    with pytest.raises(InputError, match=r"no metadata\.csv"):
        list(read_images(root))


def test_addresses_and_absolute_paths(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    away = tmp_path_factory.mktemp("away")
    (away / "far.jpg").touch()
    (away / "passwd").touch()
    _csv(
        root / "metadata",
        [
            {"file_name": name, "label": "x"}
            for name in (
                "https://example.org/1.jpg?w=2",
                "s3://bucket/2.png",
                str(away / "far.jpg"),
                str(root / "a.jpg"),
                "b.jpg",
                str(away / "gone.jpg"),
                str(away / "passwd"),
                "C:\\x.jpg",
                "file:///etc/x.jpg",
                "https://example.org/film.mp4",
            )
        ],
    )
    images = _images(root)
    assert {path: image.source for path, image in images.items()} == {
        "https://example.org/1.jpg?w=2": "https://example.org/1.jpg?w=2",
        "s3://bucket/2.png": "s3://bucket/2.png",
        str(away / "far.jpg"): str(away / "far.jpg"),
        "a.jpg": str(root / "a.jpg"),
        "b.jpg": str(root / "b.jpg"),
        "https://example.org/film.mp4": "https://example.org/film.mp4",
    }
    reasons = dict(_rejected(root))
    assert reasons[str(away / "gone.jpg")] == "listed in metadata.csv, but there is no such file"
    for path in (str(away / "passwd"), "C:/x.jpg"):
        assert reasons[path] == "its path leads out of the data set's folder"
    assert "no such file" in reasons["file:/etc/x.jpg"]


def test_a_table_of_its_own_with_other_names(root: Path) -> None:
    table = root / "labels.tsv"
    table.write_text("bild\tart\na.jpg\t1\ndeep/d.jpg\ttrue\ngone.jpg\t1\n../up.jpg\t1\n")
    items = list(read_images(FileTree(table), ReadOptions(file_column="bild", label_column="art")))
    assert {item.path: item.label for item in items if isinstance(item, ImageRecord)} == {
        "a.jpg": "1",
        "deep/d.jpg": "true",
    }
    assert {item.path: item.reason for item in items if isinstance(item, RejectedFile)} == {
        "gone.jpg": "listed in labels.tsv, but there is no such file",
        "../up.jpg": "its path leads out of the data set's folder",
    }
    assert can_read(FileTree(table)) == "a manifest, labels.tsv"
    assert can_read(FileTree(root)) == "a manifest, labels.tsv"  # beside its images


def test_a_link_out_of_the_folder_keeps_its_reason(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("away") / "secret.jpg"
    secret.touch()
    (root / "link.jpg").symlink_to(secret)
    _csv(root / "metadata", [{"file_name": name, "label": "x"} for name in ("a.jpg", "link.jpg")])
    (root / "alone.csv").write_text("file_name,label\nlink.jpg,x\n")
    assert "leads out" in dict(_rejected(root))["link.jpg"]
    assert [type(item) for item in read_images(FileTree(root / "alone.csv"))] == [RejectedFile]
    assert list(_images(root, should_follow_links=True)) == ["a.jpg", "link.jpg"]


def test_a_folder_that_a_link_takes_out_keeps_its_images_out(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    away = tmp_path_factory.mktemp("away")
    for name in ("s.jpg", "t.jpg"):
        (away / name).touch()
    (root / "out").symlink_to(away)
    (root / "in").symlink_to(root / "deep")
    (root / "alone.csv").write_text("file_name,label\nout/s.jpg,x\nin/d.jpg,x\nout/t.jpg,x\n")
    items = list(read_images(FileTree(root / "alone.csv")))
    assert [(item.path, type(item)) for item in items] == [
        ("out/s.jpg", RejectedFile),
        ("in/d.jpg", ImageRecord),
        ("out/t.jpg", RejectedFile),
    ]


def test_of_a_hundred_thousand_rows_each_is_a_image_or_set_aside(root: Path) -> None:
    rows = [f"{('a.jpg', 'b.jpg', f'gone/{n}.jpg')[min(n, 2)]},x" for n in range(100_000)]
    (root / "metadata.csv").write_text(
        "\n".join(["file_name,label", *rows, "a.jpg,x", "c.jpg,", "../up.jpg,x"])
    )
    items = list(read_images(FileTree(root / "metadata.csv")))
    why = Counter(item.reason for item in items if isinstance(item, RejectedFile))
    assert len(items) - why.total() == 2
    assert why == {
        "listed in metadata.csv, but there is no such file": 99_998,
        "listed more than once in metadata.csv": 1,
        "no label": 1,
        "its path leads out of the data set's folder": 1,
    }


def test_labels_may_be_absent_if_not_required(root: Path) -> None:
    _csv(root / "metadata", [{"file_name": "a.jpg", "lux": 3}])
    assert [(p.path, p.label) for p in _images(root, is_label_required=False).values()] == [
        ("a.jpg", None)
    ]


NAMES = st.sampled_from(
    [
        "a.jpg",
        "./a.jpg",
        "b.jpg",
        "deep/d.jpg",
        "../x.jpg",
        "/etc/passwd",
        "gone.jpg",
        "",
        "s3://b/x.jpg",
    ]
)
WORDS = st.none() | st.sampled_from(["", "x", "0", "1.0", "true", "NaN", "null", "train", "valid"])
ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMES | ANY, WORDS | ANY, WORDS), max_size=8))
def test_every_row_and_every_file_is_a_image_or_set_aside(
    rows: list[tuple[str, str | None, str | None]],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "deep").mkdir()
        files = ["a.jpg", "b.jpg", "c.jpg", "deep/d.jpg"]
        for path in files:
            (root / path).touch()
        with (root / "metadata.csv").open("w", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL)
            writer.writerows([("file_name", "label", "split"), *rows])
        if not rows:
            with pytest.raises(InputError, match="lists no images"):
                list(read_images(root))
            return
        items = list(read_images(root, ReadOptions(several_labels="first")))
        unlisted = [
            item for item in items if getattr(item, "reason", "") == "not listed in the manifest"
        ]
        assert len(items) - len(unlisted) == len(rows)
        assert {item.path for item in items} >= set(files)
        images = [item for item in items if isinstance(item, ImageRecord)]
        assert len({image.path for image in images}) == len(images)
        assert all(
            image.label and image.split in (None, "train", "val", "test") for image in images
        )
        assert not any(image.path.startswith("..") for image in images)


def test_one_table_a_split(root: Path) -> None:
    (root / "train.csv").write_text("image,label\na.jpg,x\nb.jpg,y\n")
    (root / "labels-test.csv").write_text("image,label\nc.jpg,x\n")
    assert can_read(FileTree(root)) == "a manifest, labels-test.csv and train.csv"
    images = _images(root, file_column="image")
    assert {(p.path, p.label, p.split) for p in images.values()} == {
        ("a.jpg", "x", "train"),
        ("b.jpg", "y", "train"),
        ("c.jpg", "x", "test"),
    }
    (root / "submission.csv").write_text("image,label\na.jpg,x\n")
    assert can_read(FileTree(root)) == "a manifest, labels-test.csv and train.csv"
    (root / "more.csv").write_text("image,label\ndeep/d.jpg,x\na.jpg,y\n")
    with pytest.raises(UndecidedDataError, match=r"name one in ingest\.table"):
        _images(root)


def test_a_table_that_is_no_manifest_stands_in_no_ones_way(root: Path) -> None:
    (root / "notes.csv").write_bytes(b"\xff\xfea")
    assert can_read(FileTree(root)) is None
    (root / "labels.csv").write_text("file,label\na.jpg,x\n")
    assert can_read(FileTree(root)) == "a manifest, labels.csv"
