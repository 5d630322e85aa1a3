from types import SimpleNamespace

import pandas as pd
import pytest

from pipeline.serving.prediction.predictor import load_predictor
from pipeline.storage.artifact_store import RunFolder


@pytest.mark.filterwarnings("ignore")  # of MLflow's own imports
def test_a_column_of_bytes_becomes_rows(night_run: RunFolder) -> None:
    from pipeline.serving.export.mlflow_pyfunc import PyfuncModel

    gate, bundle = PyfuncModel(), night_run.get_artifact_path("bundle")
    gate.load_context(SimpleNamespace(artifacts={"bundle": str(bundle)}))
    images = [
        p.read_bytes() for p in sorted((night_run.path.parents[1] / "images").glob("*.png"))[:3]
    ]
    rows = gate.predict(None, pd.DataFrame({"image": [*images, b"no image"]}))
    assert rows["decision"].tolist()[-1] == "error"
    pd.testing.assert_frame_equal(rows, load_predictor(str(bundle)).predict([*images, b"no image"]))
