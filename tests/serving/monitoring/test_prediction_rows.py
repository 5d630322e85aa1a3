from pathlib import Path

import pandas as pd
import pytest

from pipeline.contracts import InputError
from pipeline.serving.monitoring.prediction_rows import build_traffic, read_predictions
from pipeline.serving.prediction import row_writers
from pipeline.slices.tracking.reference_profile import ReferenceProfile
from tests.arrivals import TAG, rows

CLASSES = ["badge", "none"]


def _written(table: pd.DataFrame, path: Path) -> Path:
    row_writers.write_rows(table.to_dict("records"), list(table.columns), path)
    return path


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_what_predict_wrote_is_read_alike_in_every_form(
    tmp_path: Path, known: ReferenceProfile, ending: str
) -> None:
    table = rows(6)
    got = read_predictions(
        [
            _written(
                table.assign(group=table["group"].str.replace("v", "00")), tmp_path / f"r.{ending}"
            )
        ]
    )
    traffic = build_traffic(got, known, CLASSES, "r").table
    assert traffic["unit"].nunique() == 6
    assert got["group"].iloc[0] == "000"
    pd.testing.assert_series_equal(traffic["luminance"], table["luminance"], check_names=False)
    assert traffic["slice s1"].tolist() == (table["slices"] == TAG).tolist()
    assert traffic["declined"].tolist() == (table["decision"] == "decline").astype(float).tolist()


def test_the_last_row_of_a_path_counts_and_a_line_still_being_written_does_not(
    tmp_path: Path,
) -> None:
    table = rows(3)
    first, again = (
        _written(table, tmp_path / "a.jsonl"),
        _written(table.assign(probability=0.5), tmp_path / "b.jsonl"),
    )
    with again.open("a") as file:
        file.write('{"path": "torn')
    got = read_predictions([first, again])
    assert len(got) == 6
    assert set(got["probability"]) == {0.5}


def test_what_is_no_rows_of_this_model_is_one_line(tmp_path: Path, known: ReferenceProfile) -> None:
    table = rows(3)
    with pytest.raises(InputError, match="no such file"):
        read_predictions([tmp_path / "none.jsonl"])
    with pytest.raises(InputError, match=r"end in \.jsonl, \.csv or \.parquet"):
        read_predictions([_written(table, tmp_path / "a.csv").rename(tmp_path / "a.txt")])
    with pytest.raises(InputError, match="lacks the column slices"):
        read_predictions([_written(table.drop(columns="slices"), tmp_path / "a.csv")])
    with pytest.raises(InputError, match="predict with --attributes all"):
        read_predictions(
            [
                _written(
                    table[["path", "predicted", "probability", "decision", "slices"]],
                    tmp_path / "a.csv",
                )
            ]
        )
    (tmp_path / "broken.jsonl").write_text("my notes\n")
    with pytest.raises(InputError, match="cannot be read as rows"):
        read_predictions([tmp_path / "broken.jsonl"])
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(InputError, match="no row in it"):
        read_predictions([tmp_path / "empty.jsonl"])
    with pytest.raises(InputError, match="knows the slice 's9: tilt <= 3', the model does not"):
        build_traffic(table.assign(slices="s9: tilt <= 3"), known, CLASSES, "r")
    with pytest.raises(InputError, match="predicts 'badge', a class that the model does not know"):
        build_traffic(table, known, ["cat"], "r")
