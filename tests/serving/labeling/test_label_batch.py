"""Label batches: pipeline/serving/labeling/label_batch.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import InputError
from pipeline.serving.labeling.label_batch import apply_label_batch, write_label_batch
from pipeline.serving.prediction.input_images import list_images
from pipeline.statistics.arrivals.arrival_batch import ArrivalBatch
from pipeline.storage.arrival_ledger import read_batches


def _write_batch(runs_folder: Path, arrived: Path, batch: Path, count: int) -> dict[str, int]:
    return write_label_batch("champion", runs_folder, list_images([str(arrived)]), batch, count)


def test_the_batch_holds_disagreements_and_shows_no_prediction(
    runs_folder: Path, arrived: Path, tmp_path: Path
) -> None:
    counts = _write_batch(runs_folder, arrived, tmp_path / "batch.csv", 10)
    assert (counts["images"], counts["unreadable"], counts["labels"]) == (40, 1, 10)
    assert 0 < counts["inside"] <= counts["disagreements"] < 40
    batch = pd.read_csv(tmp_path / "batch.csv")
    assert list(batch.columns) == ["file_name", "label"]
    assert all(Path(name).is_file() for name in batch["file_name"])
    traffic = pd.read_parquet(tmp_path / "batch.parquet").set_index("path")
    drawn = traffic.loc[batch["file_name"]]
    is_disagreement = drawn["challenger"] != drawn["incumbent"]
    assert is_disagreement.mean() >= 0.6


def test_labels_of_every_image_give_the_true_gain(
    runs_folder: Path, arrived: Path, tmp_path: Path
) -> None:
    batch = tmp_path / "batch.csv"
    counts = _write_batch(runs_folder, arrived, batch, 100)
    assert counts["labels"] == 40
    traffic = pd.read_parquet(tmp_path / "batch.parquet")
    truth = dict(zip(traffic["path"], ["lying", "standing"] * 20, strict=True))
    table = pd.read_csv(batch)
    table.assign(label=table["file_name"].map(truth)).to_csv(batch, index=False)
    evidence = apply_label_batch(batch, runs_folder)
    labels = traffic["path"].map(truth)
    gain = (traffic["challenger"] == labels).mean() - (traffic["incumbent"] == labels).mean()
    assert evidence["gain"]["value"] == pytest.approx(gain)
    accuracy = (traffic["challenger"] == labels).mean()
    assert evidence["challenger"]["value"] == pytest.approx(accuracy)
    assert evidence["gain"]["low"] <= gain <= evidence["gain"]["high"]
    assert (tmp_path / "batch.json").is_file()
    assert evidence["recorded"]
    (entry,) = read_batches(runs_folder, "run1")
    arrived = ArrivalBatch.parse_record(entry["evidence"])
    assert np.mean(arrived.overall) == pytest.approx(gain)
    assert not any("png" in group for group in arrived.groups)
    assert not apply_label_batch(batch, tmp_path / "elsewhere")["recorded"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file_name,label\nother.png,lying\n", "other.png is not of this batch"),
        ("file_name,label\n", "no label in it"),
        ("image\na.png\n", "needs the columns file_name and label"),
    ],
)
def test_bad_labels_are_refused(
    runs_folder: Path, arrived: Path, tmp_path: Path, content: str, message: str
) -> None:
    batch = tmp_path / "batch.csv"
    _write_batch(runs_folder, arrived, batch, 10)
    batch.write_text(content)
    with pytest.raises(InputError, match=message):
        apply_label_batch(batch)
    with pytest.raises(InputError, match="must stay beside it"):
        apply_label_batch(tmp_path / "elsewhere.csv")
