"""Tables of several formats: pipeline/data/tables/table_files.py."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts import InputError
from pipeline.data.tables.table_files import (
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
def test_csv_keeps_all_values(
    rows: list[tuple[str, str]], delimiter: str, has_byte_order_mark: bool
) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("file_name", "label"), *rows])
    text = file.getvalue().replace('"file_name"', "file_name", 1)
    encoding = "utf-8-sig" if has_byte_order_mark else "utf-8"
    columns = read_table(text.encode(encoding), Path("a.csv"))
    assert columns["file_name"] == [name or None for name, _ in rows]
    assert columns["label"] == [label or None for _, label in rows]


@given(st.sampled_from([".csv", ".jsonl", ".parquet", ".xlsx", ".tsv"]), st.binary(max_size=200))
def test_any_bytes_are_a_table_or_an_input_error(suffix: str, data: bytes) -> None:
    try:
        columns = read_table(data, Path("a" + suffix))
    except InputError as error:
        message = str(error)
    else:
        assert len(set(map(len, columns.values()))) <= 1
        return
    assert "\n" not in message
    assert message.startswith("a" + suffix)


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abc"), st.none() | st.booleans() | st.integers() | CELLS),
        max_size=6,
    )
)
def test_json_lines_become_columns_of_one_length(rows: list[dict[str, object]]) -> None:
    columns = read_table("\n".join(json.dumps(row) for row in rows).encode(), Path("a.jsonl"))
    for name, values in columns.items():
        assert values == [row.get(name) for row in rows]


def test_excel_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"file_name": ["a.jpg", "b.jpg"], "label": ["00", None], "lux": [3, 4]})
    frame.to_excel(tmp_path / "a.xlsx", index=False)
    columns = read_table((tmp_path / "a.xlsx").read_bytes(), tmp_path / "a.xlsx")
    assert columns == {"file_name": ["a.jpg", "b.jpg"], "label": ["00", None], "lux": [3, 4]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"file_name,label\na,\xff\n", "not UTF-8"),
        (b"a,a\n1,2\n", "two columns have one name: a"),
        (b"a,b\n1,2,3\n", "line 2 has more values"),
        (b"\n", "the file is empty"),
    ],
)
def test_invalid_csv_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_table(data, Path("a.csv"))


def test_utf_16_is_read() -> None:
    data = "file_name,label\na,é\n".encode("utf-16")
    assert read_table(data, Path("a.csv"))["label"] == ["é"]


def test_a_million_rows_are_read() -> None:
    data = b"file_name,label\n" + b"".join(b"%d.jpg,%d\n" % (n, n % 7) for n in range(1_000_000))
    columns = read_table(data, Path("a.csv"))
    assert (len(columns["label"]), columns["file_name"][-1]) == (1_000_000, "999999.jpg")


@given(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.integers(), max_size=2)
)
def test_converted_values_can_be_stored(value: object) -> None:
    for converted in (convert_to_scalar(value), convert_to_text(value)):
        series = pd.Series([str(converted)], dtype="str")
        pd.DataFrame({"a": series}).to_parquet(io.BytesIO())
    text = convert_to_text(value)
    assert text is None or text.strip()


@pytest.mark.parametrize(
    ("value", "text", "scalar"),
    [
        (1.0, "1", 1.0),
        ("00", "00", "00"),
        (" cat ", "cat", " cat "),
        (True, "true", True),
        (float("nan"), None, None),
        (2**70, str(2**70), str(2**70)),
        ([1, 2], "[1, 2]", "[1, 2]"),
        ({"a": None}, "{'a': None}", '{"a": null}'),
    ],
)
def test_values_are_converted(value: object, text: str | None, scalar: object) -> None:
    assert convert_to_text(value) == text
    assert convert_to_scalar(value) == scalar


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
def test_column_is_converted_only_as_a_whole(values: list[object], expected: list[object]) -> None:
    assert infer_column_type(values) == expected


def test_separator_line_of_excel_is_used() -> None:
    columns = read_table(b"sep=;\r\n file ; label \r\na.jpg;x\r\n", Path("a.csv"))
    assert columns == {"file": ["a.jpg"], "label": ["x"]}


def test_columns_without_a_name_are_numbered() -> None:
    columns = read_table(b",,file\n0,1,a.jpg\n", Path("a.csv"))
    assert columns == {"column 1": ["0"], "column 2": ["1"], "file": ["a.jpg"]}


def test_json_lines_with_keys_of_their_own_are_refused_soon() -> None:
    data = "\n".join(json.dumps({f"key {k}": k}) for k in range(12_000)).encode()
    with pytest.raises(InputError, match=r"a\.jsonl: .*give all lines the same keys"):
        read_table(data, Path("a.jsonl"))


def test_a_small_parquet_file_of_many_rows_is_refused() -> None:
    buffer = io.BytesIO()
    table = pa.table({"a": pa.array([0]).take(pa.array([0] * 1_000_000))})
    with pq.ParquetWriter(buffer, table.schema) as writer:
        for _ in range(11):
            writer.write_table(table)
    with pytest.raises(InputError, match=r"a\.parquet: .*11,000,000 rows"):
        read_table(buffer.getvalue(), Path("a.parquet"))
