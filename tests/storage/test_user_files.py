"""Files that a user names: pipeline/storage/user_files.py."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.analysis.prediction_tables import read_embeddings, read_image_table
from pipeline.contracts import InputError
from pipeline.learning.models.exported_program import ProgramNetwork
from pipeline.learning.models.onnx_model import open_session
from pipeline.learning.models.weight_files import read_weights
from pipeline.serving.monitoring.prediction_rows import read_predictions
from pipeline.storage.review_decisions import apply_review_file
from pipeline.storage.user_files import MAX_ROWS, check_parquet_size, check_user_file

READERS = {
    "table.csv": read_image_table,
    "table.parquet": read_image_table,
    "embeddings.npy": lambda path: read_embeddings(path, 3),
    "model.onnx": open_session,
    "model.pt2": lambda path: ProgramNetwork(path, [0]),
    "model.safetensors": lambda path: read_weights(path, "train.weights"),
    "rows.jsonl": lambda path: read_predictions([path]),
    "review.json": lambda path: apply_review_file(path.parent, path),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "empty", "missing", "sparse"])
def test_every_reader_refuses_what_is_no_usable_file(name: str, kind: str, tmp_path: Path) -> None:
    """A FIFO would be waited for, a device never ends, a sparse file fills the memory."""
    path = tmp_path / name
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.touch()
        os.truncate(path, 0 if kind == "empty" else 20_000_000_000)
    with pytest.raises(
        InputError, match=r"no such file|not a regular|empty|too many|no rows"
    ) as caught:
        READERS[name](path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_of_the_largest_size_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    check_user_file(tmp_path / "a", 3)
    with pytest.raises(InputError, match=r"3 bytes are too many \(notes\); at most 2"):
        check_user_file(tmp_path / "a", 2, "notes")


def test_a_small_parquet_file_of_many_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    zeros = pa.array([0]).take(pa.array([0] * 100_000))
    with pq.ParquetWriter(path, pa.schema([("a", pa.int64())])) as writer:
        table = pa.table({"a": zeros})
        for _ in range(MAX_ROWS // 100_000 + 1):
            writer.write_table(table)
    assert path.stat().st_size < 1_000_000
    for read in (check_parquet_size, read_image_table, lambda file: read_predictions([file])):
        with pytest.raises(InputError, match="rows of 1 columns"):
            read(path)
