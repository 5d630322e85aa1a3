import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.serving.export import mlflow_model, model_export
from pipeline.serving.prediction.predictor import load_predictor
from pipeline.storage.artifact_store import RunFolder

ASK = """
import json, sys
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
rows = model.predict(pd.DataFrame({"image": [open(path, "rb").read() for path in sys.argv[2:]]}))
import pipeline
print(json.dumps({"rows": rows.to_dict("records"), "code": pipeline.__file__}))
"""


def test_mlflow_loads_it_in_another_process_and_it_predicts(
    night_run: RunFolder, tmp_path: Path
) -> None:
    home = night_run.path.parent
    path, lines = model_export.export_model("run1", home, "mlflow", tmp_path / "out")
    images = [str(p) for p in sorted((home.parent / "images").glob("*.png"))[:8]]
    asked = [sys.executable, "-W", "ignore", "-c", ASK, str(path), *images]
    done = subprocess.run(asked, cwd=tmp_path, check=True, capture_output=True, text=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["code"].startswith(str(path)), "by the code that lies in the model"
    want = load_predictor("run1", home).predict([Path(p).read_bytes() for p in images])
    for row, other in zip(answer["rows"], want.to_dict("records"), strict=True):
        assert row["probability"] == pytest.approx(other["probability"], abs=1e-6)
        assert (row["decision"], row["correction"], row["slices"]) == tuple(
            other[k] for k in ("decision", "correction", "slices")
        )
    assert lines == [], "every correction is in it"
    assert not list(path.rglob("*.pkl"))
    assert (path / "README.md").is_file()


def test_its_requirements_are_the_packages_at_their_versions() -> None:
    found = mlflow_model.list_requirements()
    assert any(line.startswith("torch==") for line in found)
    assert not any(line.startswith(("pytest", "nightshift")) for line in found), (
        "no extras, and not itself"
    )
    assert all("==" in line for line in found)


def test_without_mlflow_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(InputError, match=r"pip install 'nightshift\[mlflow\]'"):
        mlflow_model.write_pyfunc_model(tmp_path, tmp_path / "out")
