"""Parquet files of images: pipeline/data/adapters/parquet_images.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter, read_dataset
from tests.data.sample_images import encode_image, list_dataset


def _write(
    path: Path, count: int = 6, label: str = "label", is_named: bool = True, **columns: Any
) -> None:
    cells = [{"bytes": encode_image(n), "path": f"{n}.png"} for n in range(count)]
    columns = {"image": cells, label: [n % 2 for n in range(count)], **columns}
    table = pa.table(columns)
    if is_named:
        features = {label: {"names": ["cat", "dog"], "_type": "ClassLabel"}}
        info = {"info": {"features": features}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path, row_group_size=4)


def test_the_layout_of_the_hub(tmp_path: Path) -> None:
    _write(tmp_path / "data" / "train-00000-of-00001.parquet", captured_by=list("abcdef"))
    _write(tmp_path / "data" / "test-00000-of-00001.parquet", 4, captured_by=list("abcd"))
    assert find_adapter(tmp_path)[0] == "parquet_images"
    images, rejected = list_dataset(tmp_path)
    assert rejected == {}
    assert [image.split for image in images.values()].count("test") == 4
    image = images["train-00000-of-00001.parquet/000005"]
    assert (image.label, image.split, image.columns) == ("dog", "train", {"captured_by": "f"})


def test_one_file_with_bytes_and_numbers(tmp_path: Path) -> None:
    table = pa.table({"img": [encode_image(n) for n in range(4)], "y": [0, 1, 0, 1]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"ingest\.label: y"):
        list(read_dataset(tmp_path / "a.parquet"))
    images, _ = list_dataset(tmp_path / "a.parquet", label_column="y")
    assert [image.label for image in images.values()] == ["0", "1", "0", "1"]


def test_several_labels_in_a_cell(tmp_path: Path) -> None:
    _write(tmp_path / "a.parquet", 3, "labels", False, labels=[["a"], ["a", "b"], []])
    images, rejected = list_dataset(tmp_path)
    assert [image.label for image in images.values()] == ["a"]
    assert list(rejected.values()) == ["several labels", "no label"]


def test_a_table_of_file_names_is_a_manifest(tmp_path: Path) -> None:
    table = pa.table({"file_name": ["a.png"], "label": ["x"]})
    pyarrow.parquet.write_table(table, tmp_path / "metadata.parquet")
    (tmp_path / "a.png").write_bytes(encode_image())
    assert find_adapter(tmp_path)[0] == "manifest"
    with pytest.raises(InputError, match="no Parquet file in it holds images"):
        list(read_dataset(tmp_path, "parquet_images"))
