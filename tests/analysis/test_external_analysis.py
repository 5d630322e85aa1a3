"""The command `nightshift analyze`: with a planted slice, without one, and with a model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.analysis.external_analysis import MEMBERSHIP_COLUMNS, SLICE_COLUMNS
from tests.analysis.planted_predictions import (
    export_onnx_classifier,
    run_analyze,
    write_analysis_inputs,
)


def _read_outputs(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    out = folder / "out"
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    return (
        pd.read_parquet(out / "slices.parquet"),
        pd.read_parquet(out / "membership.parquet"),
        summary,
    )


def test_the_night_slice_is_confirmed_from_predictions_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_analyze(monkeypatch, *write_analysis_inputs(tmp_path, visits=120)) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "out" / "index.html")
    slices, members, summary = _read_outputs(tmp_path)
    assert tuple(slices.columns) == SLICE_COLUMNS
    assert tuple(members.columns) == MEMBERSHIP_COLUMNS
    first = slices.iloc[0]
    assert first["confirmed"]
    assert first["low"] > 0
    table = pd.read_csv(tmp_path / "M.csv")
    hours = pd.to_datetime(table.set_index("image_id")["captured_at"]).dt.hour
    night = set(hours.index[(hours >= 21) | (hours < 6)])
    slice_ids = set(members.loc[members["slice"] == "s1", "image_id"])
    assert len(slice_ids & night) > 0.5 * len(slice_ids | night), first["rule"]
    assert (summary["probed"], summary["folds_drawn"]) == (0, True)
    assert {s["confidence"] for s in summary["slices"]} <= {"suspected", "unnamed"}
    folds = pd.read_csv(tmp_path / "M.csv").merge(members[members["slice"] == "s1"], on="image_id")
    assert (folds.groupby("group")["fold"].nunique() == 1).all()
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "No model was given" in page


def test_a_model_is_probed_and_the_cause_proved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = write_analysis_inputs(tmp_path, visits=120)
    table = pd.read_csv(tmp_path / "M.csv")
    table.assign(fold=table["group"].str[1:].astype(int) % 4).to_csv(
        tmp_path / "M.csv", index=False
    )
    assert (
        run_analyze(
            monkeypatch, *arguments, "--model", str(export_onnx_classifier(tmp_path / "m.onnx"))
        )
        == 0
    )
    slices, _, summary = _read_outputs(tmp_path)
    assert summary["probed"] == len(table)
    assert summary["folds"] == {str(k): 60 for k in range(4)}
    assert not summary["folds_drawn"]
    named = slices[slices["confirmed"] & slices["cause"].notna()].iloc[0]
    assert named["cause"] in ("exposure", "contrast"), named["words"]
    assert named["strength_high"] < 1
    assert "proved by intervention" in {s["confidence"] for s in summary["slices"]}


def test_failures_of_no_common_cause_confirm_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_analyze(monkeypatch, *write_analysis_inputs(tmp_path, night=False, visits=80)) == 0
    slices, _, summary = _read_outputs(tmp_path)
    assert not slices["confirmed"].any()
    assert summary["metrics"]["accuracy"]["value"] < 0.9


def test_embeddings_are_taken_in_the_order_of_the_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = write_analysis_inputs(tmp_path, visits=40)
    scores = pd.read_parquet(tmp_path / "P.parquet")
    np.save(tmp_path / "E.npy", scores[["logit_lying", "logit_standing"]].to_numpy(np.float32))
    assert run_analyze(monkeypatch, *arguments, "--embeddings", str(tmp_path / "E.npy")) == 0


@pytest.mark.parametrize("broken", ["image", "model", "side", "labels"])
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    arguments = write_analysis_inputs(tmp_path, visits=20)
    if broken == "image":
        (tmp_path / "0003_1.png").write_bytes(b"")
    elif broken == "labels":
        table = pd.read_csv(tmp_path / "M.csv")
        table.assign(label="sitting").to_csv(tmp_path / "M.csv", index=False)
    elif broken == "model":
        (tmp_path / "m.onnx").write_bytes(b"no model")
        arguments += ["--model", str(tmp_path / "m.onnx")]
    else:
        arguments += ["--embeddings", str(tmp_path / "none.npy")]
    assert run_analyze(monkeypatch, *arguments) == 2
    error = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("nightshift: ")
    ]
    assert len(error) == 1
    assert not (tmp_path / "out").exists()
