"""The columns of the artifact `images`: pipeline/data/tables/image_columns.py."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.contracts import InputError
from pipeline.data.reading.dataset_listing import ColumnNames
from pipeline.data.reading.image_decoding import ImageHeader
from pipeline.data.reading.image_intake import LoadedImage
from pipeline.data.reading.image_record import ImageRecord
from pipeline.data.tables.image_columns import build_images_table
from pipeline.graph import ARTIFACT_CONTRACTS

NOON = datetime(2024, 5, 31, 12)


def _load(
    number: int, *, header_time: datetime | None = None, camera: str | None = None, **fields: Any
) -> LoadedImage:
    header = ImageHeader(40, 30, "PNG", "RGB", header_time, camera)
    record = ImageRecord(f"/data/{number}.png", f"{number}.png", "cat", **fields)
    return LoadedImage(record, f"id-{number}", f"hash-{number}", header)


def _build(images: list[LoadedImage], **columns: str) -> tuple[pd.DataFrame, list[str]]:
    notes: list[str] = []
    return build_images_table(images, ColumnNames(**columns), notes.append), notes


def test_the_table_keeps_its_contract(tmp_path: Path) -> None:
    images = [_load(0, split="train"), _load(1, captured_at=NOON, header_time=datetime(2000, 1, 1))]
    table, notes = _build(images)
    ARTIFACT_CONTRACTS["images"].check_value("images", table, {})
    assert table.loc[1, "captured_at"] == pd.Timestamp(NOON), "the adapter's time comes first"
    assert table["group"].tolist() == ["hash-0", "hash-1"], "by bytes, no group was given"
    assert notes == []


def test_each_user_column_has_one_dtype(tmp_path: Path) -> None:
    values: list[dict[str, Any]] = [
        {"whole": 1, "part": 1, "flag": True, "text": 1, "gaps": None},
        {"whole": 2, "part": 2.5, "flag": False, "text": "two", "gaps": True},
        {"whole": 3, "part": None, "flag": True, "text": None, "gaps": False},
    ]
    images = [_load(number, columns=columns) for number, columns in enumerate(values)]
    table, _ = _build(images)
    kinds = {name: table[name].dtype.kind for name in ("whole", "part", "flag")}
    assert kinds == {"whole": "i", "part": "f", "flag": "b"}
    assert table["text"].fillna("-").tolist() == ["1", "two", "-"]
    assert table["gaps"].fillna("-").tolist() == ["-", "True", "False"]
    table.to_parquet(tmp_path / "images.parquet")


def test_a_column_whose_name_is_taken_is_renamed_with_a_note() -> None:
    columns = {"width": 9, "width_": 8, "luminance": 7, "fold": 6}
    table, notes = _build([_load(0, columns=columns)])
    assert table.loc[0, ["width_", "width__", "luminance_", "fold_"]].tolist() == [9, 8, 7, 6]
    assert table.loc[0, "width"] == 40, "the image's own"
    assert "width -> width_" in notes[0]


@pytest.mark.parametrize(
    ("columns", "groups"),
    [
        ({}, ["adapter", "hash-1"]),
        ({"group": "track"}, ["t1", "hash-1"]),
        ({"group": "width"}, ["9", "8"]),
        ({"group": "camera"}, ["north", "hash-1"]),
        ({"group_pattern": r"([0])\.png"}, ["0", "hash-1"]),
    ],
)
def test_the_group_is_that_of_the_config_and_else_the_bytes(
    columns: dict[str, str], groups: list[str]
) -> None:
    first = _load(0, camera="north", group="adapter", columns={"track": "t1", "width": 9})
    second = _load(1, columns={"track": None, "width": 8})
    assert _build([first, second], **columns)[0]["group"].tolist() == groups


def test_an_unknown_group_column_is_named() -> None:
    with pytest.raises(InputError, match=r"ingest\.group: .* 'trak'; did you mean track\?"):
        _build([_load(0, columns={"track": "t1"})], group="trak")


def test_the_camera_of_the_header_does_not_replace_the_users() -> None:
    assert _build([_load(0, camera="north")])[0].loc[0, "camera"] == "north"
    table, _ = _build([_load(0, camera="north", columns={"camera": "gate 2"})])
    assert table.loc[0, "camera"] == "gate 2"


def test_unreadable_times_are_noted_and_replaced_by_the_headers() -> None:
    images = [
        _load(0, columns={"when": "2024-05-31 22:40"}, header_time=NOON),
        _load(1, columns={"when": "dusk"}, header_time=NOON),
        _load(2, columns={"when": None}),
    ]
    table, notes = _build(images, time="when")
    assert table.loc[0, "captured_at"] == pd.Timestamp("2024-05-31 22:40")
    assert table.loc[1, "captured_at"] == pd.Timestamp(NOON)
    assert pd.isna(table.loc[2, "captured_at"])
    assert notes == ["1 capture times in when cannot be read, such as 'dusk'"]
