from types import SimpleNamespace

import pandas as pd
import pytest

from pipeline.predict.model import load
from pipeline.store import Run


@pytest.mark.filterwarnings("ignore")  # of MLflow's own imports
def test_a_column_of_bytes_becomes_rows(night_run: Run) -> None:
    from pipeline.export.pyfunc import Gate

    gate, bundle = Gate(), night_run.file("bundle")
    gate.load_context(SimpleNamespace(artifacts={"bundle": str(bundle)}))
    photos = [p.read_bytes() for p in sorted((night_run.path.parents[1] / "photos").glob("*.png"))[:3]]
    rows = gate.predict(None, pd.DataFrame({"photo": [*photos, b"no photo"]}))
    assert rows["decision"].tolist()[-1] == "error"
    pd.testing.assert_frame_equal(rows, load(str(bundle)).predict([*photos, b"no photo"]))
