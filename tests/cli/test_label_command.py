"""`nightshift label`: pipeline/cli/label_command.py."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.contracts import InputError


def test_labels_that_came_back_show_the_gain(tmp_path: Path) -> None:
    traffic = pd.DataFrame(
        {
            "path": [f"/i{k}.png" for k in range(8)],
            "group": [f"g{k}" for k in range(8)],
            "challenger": ["a"] * 8,
            "incumbent": ["b"] * 4 + ["a"] * 4,
            "challenger_confidence": 0.9,
            "incumbent_confidence": 0.9,
            "is_inside": True,
            "probability": 0.5,
            "is_drawn": [True, False] * 4,
            "challenger_weights": "new",
            "incumbent_weights": "old",
            "run_id": "run1",
        }
    )
    traffic.to_parquet(tmp_path / "batch.parquet")
    batch = tmp_path / "batch.csv"
    labels = ["a", "b", "a", "a"]
    batch.write_text(
        "file_name,label\n" + "".join(f"/i{2 * k}.png,{label}\n" for k, label in enumerate(labels))
    )
    result = CliRunner().invoke(app, ["label", "apply", str(batch), "--json"])
    assert result.exit_code == 0, result.output
    evidence = json.loads(result.stdout)
    assert evidence["labels"] == 4
    assert evidence["gain"]["value"] == 0  # one of two labeled disagreements goes each way
    text = CliRunner().invoke(app, ["label", "apply", str(batch)]).stdout
    assert "4 of 4 labels came back" in text


def test_a_missing_output_is_named() -> None:
    result = CliRunner().invoke(app, ["label", "champion", "images"])
    assert isinstance(result.exception, InputError)
    with pytest.raises(InputError, match="-o"):
        raise result.exception
