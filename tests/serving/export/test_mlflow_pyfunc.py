from types import SimpleNamespace

import pandas as pd
import pytest

from pipeline.serving.prediction.predictor import load_predictor
from pipeline.storage.artifact_store import RunFolder


@pytest.mark.filterwarnings("ignore")  # of MLflow's own imports
def test_column_of_bytes_gives_the_rows_of_predict(night_run: RunFolder) -> None:
    from pipeline.serving.export.mlflow_pyfunc import PyfuncModel

    bundle = str(night_run.get_artifact_path("bundle"))
    model = PyfuncModel()
    model.load_context(SimpleNamespace(artifacts={"bundle": bundle}))
    paths = sorted((night_run.path.parents[1] / "images").glob("*.png"))[:3]
    images = [*(path.read_bytes() for path in paths), b"no image"]
    rows = model.predict(None, pd.DataFrame({"image": images}))
    assert rows["decision"].tolist()[-1] == "error"
    pd.testing.assert_frame_equal(rows, load_predictor(bundle).predict(images))
