"""Tables that list images: pipeline/data/tables/listing_tables.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import ReadOptions
from pipeline.data.tables.listing_tables import is_submission, list_table_names, survey_tables


def test_survey_reports_tables_that_list_nothing_or_cannot_be_read(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number:02d}.jpg").touch()
    rows = [f"{n:02d},{'ab'[n % 2]}" for n in range(12)]
    (tmp_path / "labels.csv").write_text("\n".join(["name,label", *rows]))
    (tmp_path / "classes.csv").write_text("label,title\na,Ant\nb,Bee\n")
    (tmp_path / "broken.csv").write_bytes(b"a,b\n\xff\xfe")
    survey = survey_tables(FileTree(tmp_path), ReadOptions())
    assert [table.name for table in survey.listing] == ["labels.csv"]
    assert list(survey.others) == ["classes.csv"]
    assert list(survey.unreadable) == ["broken.csv"]


def test_tables_of_single_images_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "boxes").mkdir()
    for number in range(60):
        (tmp_path / "boxes" / f"{number}.csv").write_text("x,y\n1,2\n")
    (tmp_path / "labels.csv").write_text("name,label\n")
    assert list_table_names(FileTree(tmp_path)) == ["labels.csv"]


@pytest.mark.parametrize(
    ("name", "is_form"),
    [("sample_submission.csv", True), ("SampleSubmission.csv", True), ("train.csv", False)],
)
def test_forms_for_predictions_are_known_by_name(name: str, is_form: bool) -> None:
    assert is_submission(name) == is_form
