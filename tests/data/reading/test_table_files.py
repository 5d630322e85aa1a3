"""Reading tables: pipeline/data/reading/table_files.py."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts import InputError
from pipeline.data.reading.table_files import (
    convert_to_scalar,
    convert_to_text,
    infer_column_type,
    read_table,
)

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=12)


@given(
    st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8),
    st.sampled_from(",;\t|"),
    st.booleans(),
)
def test_a_csv_comes_back_as_it_was_written(
    rows: list[tuple[str, str]], sign: str, mark: bool
) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=sign, quoting=csv.QUOTE_ALL)
    writer.writerows([("file_name", "label"), *rows])
    data = (
        file.getvalue()
        .replace('"file_name"', "file_name", 1)
        .encode("utf-8-sig" if mark else "utf-8")
    )
    found = read_table(data, Path("a.csv"))
    assert found == {
        "file_name": [a or None for a, _ in rows],
        "label": [b or None for _, b in rows],
    }


@given(st.sampled_from([".csv", ".jsonl", ".parquet", ".xlsx", ".tsv"]), st.binary(max_size=200))
def test_any_bytes_are_a_table_or_an_input_error(suffix: str, data: bytes) -> None:
    try:
        found = read_table(data, Path("a" + suffix))
    except InputError as error:
        found, words = {}, str(error)
    else:
        words = "a" + suffix
    assert "\n" not in words
    assert words.startswith("a" + suffix)
    assert len({len(column) for column in found.values()}) <= 1


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abc"), st.none() | st.booleans() | st.integers() | CELLS),
        max_size=6,
    )
)
def test_json_lines_are_columns_of_one_length(rows: list[dict[str, object]]) -> None:
    found = read_table("\n".join(json.dumps(row) for row in rows).encode(), Path("a.jsonl"))
    for name, values in found.items():
        assert values == [row.get(name) for row in rows]


def test_excel(tmp_path: Path) -> None:
    frame = pd.DataFrame({"file_name": ["a.jpg", "b.jpg"], "label": ["00", None], "lux": [3, 4]})
    frame.to_excel(tmp_path / "a.xlsx", index=False)
    found = read_table((tmp_path / "a.xlsx").read_bytes(), tmp_path / "a.xlsx")
    assert found == {"file_name": ["a.jpg", "b.jpg"], "label": ["00", None], "lux": [3, 4]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"file_name,label\na,\xff\n", "not UTF-8"),
        (b"a,a\n1,2\n", "two columns have one name: a"),
        ("file_name,label\na,é\n".encode("utf-16"), ""),
        (b"a,b\n1,2,3\n", "line 2 has more values"),
    ],
)
def test_odd_encodings_and_rows(data: bytes, message: str) -> None:
    if not message:
        assert read_table(data, Path("a.csv"))["label"] == ["é"]
        return
    with pytest.raises(InputError, match=message):
        read_table(data, Path("a.csv"))


def test_a_million_rows() -> None:
    data = b"file_name,label\n" + b"".join(b"%d.jpg,%d\n" % (n, n % 7) for n in range(1_000_000))
    found = read_table(data, Path("a.csv"))
    assert (len(found["label"]), found["file_name"][-1]) == (1_000_000, "999999.jpg")


@given(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.integers(), max_size=2)
)
def test_any_value_can_be_held(value: object) -> None:
    for held in (convert_to_scalar(value), convert_to_text(value)):
        pd.DataFrame({"a": pd.Series([str(held)], dtype="str")}).to_parquet(io.BytesIO())
    assert (convert_to_text(value) or "x").strip()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2.5", None], [1, 2.5, None]),
        (["true", "False"], [True, False]),
        (["true", "1"], ["true", "1"]),
        (["007", "1"], ["007", "1"]),
        (["9" * 40], ["9" * 40]),
        (["١"], ["١"]),
        ([None], [None]),
    ],
)
def test_text_becomes_numbers_only_where_all_of_it_does(
    values: list[object], expected: list[object]
) -> None:
    assert infer_column_type(values) == expected


def test_headers_as_spreadsheets_write_them() -> None:
    assert read_table(b"sep=;\r\n file ; label \r\na.jpg;x\r\n", Path("a.csv")) == {
        "file": ["a.jpg"],
        "label": ["x"],
    }
    assert read_table(b",,file\n0,0,a.jpg\n", Path("a.csv")) == {
        "column 1": ["0"],
        "column 2": ["0"],
        "file": ["a.jpg"],
    }
