"""Columns that group images: pipeline/data/tables/group_words.py, group_columns.py."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from pipeline.data.reading.dataset_listing import ColumnNames
from pipeline.data.reading.image_record import ImageRecord
from pipeline.data.tables.group_columns import find_group_column, find_group_warnings
from pipeline.data.tables.group_words import has_group_name


def _build_records(column: str, values: list[str], labels: str = "x") -> list[ImageRecord]:
    return [
        ImageRecord(f"/{n}", str(n), labels[n % len(labels)], columns={column: value})
        for n, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("column", "is_match"),
    [
        ("track", True),
        ("Tracks", True),
        ("gtsrb-track", True),
        ("PatientID", True),
        ("patientid", True),
        ("lesion_id", True),
        ("seq_id", True),
        ("subj_no", True),
        ("Patient Age", False),
        ("tracking", False),
        ("soundtrack", False),
    ],
)
def test_names_of_groups(column: str, is_match: bool) -> None:
    assert has_group_name(column) == is_match


@pytest.mark.parametrize(
    ("column", "value_count", "is_group"),
    [
        ("person_id", 15, True),
        ("tracking", 15, False),  # another word
        ("camera", 4, False),  # too few values
        ("track", 30, False),  # a value for each image
    ],
)
def test_group_column_needs_a_name_and_enough_values(
    column: str, value_count: int, is_group: bool
) -> None:
    records = _build_records(column, [f"v{n % value_count}" for n in range(30)])
    assert find_group_column(records) == (column if is_group else None)


def test_keys_with_one_label_each_are_a_group() -> None:
    values = [f"k{n // 3}" for n in range(90)]
    pure = _build_records("code", values, "xxxyyyzzz")
    assert find_group_column(pure) == "code"
    assert find_group_column(_build_records("code", values, "xyz")) is None
    assert find_group_column(_build_records("age", [str(n % 40) for n in range(90)], "xyz")) is None


def test_keys_of_a_short_time_are_a_group() -> None:
    start = datetime(2024, 5, 1)
    records = [
        ImageRecord(
            f"/{n}",
            str(n),
            "xyz"[n % 3],
            captured_at=start + timedelta(days=n // 3, seconds=n),
            columns={"code": f"k{n // 3}", "mixed": f"k{n % 30}"},
        )
        for n in range(90)
    ]
    assert find_group_column(records) == "code"


def test_groups_of_the_data_set_take_precedence() -> None:
    records = [ImageRecord(f"/{n}", str(n), "x", group="g") for n in range(30)]
    assert find_group_column(records) is None
    assert find_group_column([]) is None


def test_warning_names_the_setting() -> None:
    records = _build_records("patientid", [f"p{n // 2}" for n in range(30)], "xy")
    (line,) = find_group_warnings(records, ColumnNames())
    assert "ingest.group=patientid" in line
    assert find_group_warnings(records, ColumnNames(group="patientid")) == []
    assert find_group_warnings(records, ColumnNames(group_pattern="(.)")) == []
