from pathlib import Path

import pandas as pd
import pytest

from pipeline.contracts import InputError
from pipeline.serving.monitoring.prediction_rows import build_traffic, read_predictions
from pipeline.serving.prediction.row_writers import write_rows
from pipeline.slices.tracking.reference_profile import ReferenceProfile
from tests.arrivals import rows


def _write(table: pd.DataFrame, path: Path) -> Path:
    write_rows(table.to_dict("records"), list(table.columns), path)
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_rows_of_every_format_are_the_same_traffic(
    tmp_path: Path, reference: ReferenceProfile, suffix: str
) -> None:
    table = rows(6)
    table["group"] = table["group"].str.replace("v", "00")  # text that looks like numbers
    read = read_predictions([_write(table, tmp_path / f"r.{suffix}")])
    traffic = build_traffic(read, reference, "rows").table
    assert traffic["unit"].nunique() == 6
    assert read["group"].iloc[0] == "000"
    pd.testing.assert_series_equal(traffic["luminance"], table["luminance"], check_names=False)
    assert traffic["slice s1"].tolist() == (table["slices"] == "s1").tolist()
    assert traffic["slice s1"].any()
    assert traffic["declined"].tolist() == (table["decision"] == "decline").astype(float).tolist()


def test_every_slice_of_a_row_is_read(reference: ReferenceProfile) -> None:
    record = {**reference.slice_records[0], "slice": "s10"}
    two = ReferenceProfile(
        reference.table, reference.summary, [*reference.slice_records, record], reference.run_id
    )
    table = rows(2).assign(slices=["s1; s10", "s10", "", "s1"])
    traffic = build_traffic(table, two, "rows").table
    assert traffic["slice s1"].tolist() == [True, False, False, True]
    assert traffic["slice s10"].tolist() == [True, True, False, False]


def test_rows_without_group_and_time_are_units_of_one_image(reference: ReferenceProfile) -> None:
    traffic = build_traffic(rows(3).drop(columns=["group", "captured_at"]), reference, "rows")
    assert traffic.table["unit"].nunique() == 6


def test_last_row_of_an_image_counts_and_an_incomplete_line_does_not(tmp_path: Path) -> None:
    table = rows(3)
    first = _write(table, tmp_path / "a.jsonl")
    second = _write(table.assign(probability=0.5), tmp_path / "b.jsonl")
    with second.open("a") as file:
        file.write('{"path": "incomplete')
    read = read_predictions([first, second])
    assert len(read) == 6
    assert set(read["probability"]) == {0.5}


def test_file_that_predict_did_not_write_is_an_error(tmp_path: Path) -> None:
    table = rows(3)
    required = table[["path", "predicted", "probability", "decision", "slices", "model"]]
    (tmp_path / "broken.jsonl").write_text("my notes\n")
    (tmp_path / "empty.jsonl").write_text("")
    _write(table, tmp_path / "a.csv").rename(tmp_path / "a.txt")
    _write(table.drop(columns="slices"), tmp_path / "old.csv")
    _write(required, tmp_path / "plain.csv")
    messages = {
        "none.jsonl": "no such file",
        "a.txt": r"end in \.jsonl, \.csv or \.parquet",
        "old.csv": "the column slices is missing",
        "plain.csv": "predict with --attributes all",
        "broken.jsonl": "cannot be read as rows",
        "empty.jsonl": "no rows",
    }
    for name, message in messages.items():
        with pytest.raises(InputError, match=message):
            read_predictions([tmp_path / name])


def test_rows_of_another_model_are_an_error(reference: ReferenceProfile) -> None:
    with pytest.raises(InputError, match="by the model of run run2, not of run1"):
        build_traffic(rows(3).assign(model="run2"), reference, "rows")
    with pytest.raises(InputError, match="the model has no slice 's9'"):
        build_traffic(rows(3).assign(slices="s9"), reference, "rows")


@pytest.mark.parametrize("name", ["a\u2028b.png", "a\x85b.png", "=1.png", "-2;@b.png", "\x0b.png"])
@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_odd_names_are_read_back(name: str, suffix: str, tmp_path: Path) -> None:
    """U+2028 and others divide lines for Python, and `=` begins a formula in a spreadsheet."""
    row = {"path": name, "predicted": "=a", "probability": 0.5, "decision": "answer"}
    rows = [{**row, "reason": "", "slices": "", "model": "r", "luminance": 3.0}] * 2
    write_rows(rows, [*rows[0]], tmp_path / f"a.{suffix}")
    table = read_predictions([tmp_path / f"a.{suffix}"])
    assert table["path"].tolist() == [name]
    assert table["predicted"].tolist() == ["=a"]
