import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.serving.export.mlflow_model import list_requirements, write_pyfunc_model
from pipeline.serving.export.model_export import export_model
from pipeline.serving.prediction.predictor import load_predictor
from pipeline.storage.artifact_store import RunFolder

PREDICT_CODE = """
import json, sys
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
rows = model.predict(pd.DataFrame({"image": [open(path, "rb").read() for path in sys.argv[2:]]}))
import pipeline
print(json.dumps({"rows": rows.to_dict("records"), "code": pipeline.__file__}))
"""


def test_mlflow_predicts_in_another_process_with_the_code_of_the_model(
    night_run: RunFolder, tmp_path: Path
) -> None:
    runs_folder = night_run.path.parent
    path, lines = export_model("run1", runs_folder, "mlflow", tmp_path / "out")
    images = sorted((runs_folder.parent / "images").glob("*.png"))[:8]
    command = [sys.executable, "-W", "ignore", "-c", PREDICT_CODE, str(path), *map(str, images)]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    output = json.loads(done.stdout.splitlines()[-1])
    assert output["code"].startswith(str(path))
    predictor = load_predictor("run1", runs_folder)
    expected = predictor.predict([image.read_bytes() for image in images])
    for row, other in zip(output["rows"], expected.to_dict("records"), strict=True):
        assert row["probability"] == pytest.approx(other["probability"], abs=1e-6)
        for key in ("decision", "correction", "slices", "model"):
            assert row[key] == other[key]
    assert lines == []  # no correction is omitted
    assert not list(path.rglob("*.pkl"))
    assert (path / "README.md").is_file()


def test_requirements_are_pinned_without_extras() -> None:
    requirements = list_requirements()
    assert any(line.startswith("torch==") for line in requirements)
    assert not any(line.startswith(("pytest", "nightshift")) for line in requirements)
    assert all("==" in line for line in requirements)


def test_missing_mlflow_is_an_error_with_the_command_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(InputError, match=r"pip install 'nightshift\[mlflow\]'"):
        write_pyfunc_model(tmp_path, tmp_path / "out")
