import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from pipeline.contracts import InputError
from pipeline.learning.models.backbone import load_model
from pipeline.learning.models.decision_module import DecisionModule, ImageCorrection, LookupTable
from pipeline.learning.models.program_export import write_onnx_file
from pipeline.remedies import apply_remedy
from pipeline.serving.prediction.inference_engine import GraphEngine, NetworkEngine, open_engine
from pipeline.serving.prediction.predictor import load_predictor

EVERY = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 16, 16, 3)


@pytest.fixture(scope="session")
def graph(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle as ONNX, as `nightshift export` writes it, with one correction inside and one left out."""
    path = tmp_path_factory.mktemp("graph") / "any name.onnx"
    network, meta = load_model(bundle)
    bright = LookupTable(apply_remedy("exposure", EVERY, 4.0, 4.0, seed=0).reshape(256, 3))
    served = DecisionModule(
        network, meta, [ImageCorrection((("luminance", "<=", 45.0),), bright)], 0.8
    )
    told = [
        {"words": "exposure x4", "when": "luminance <= 45", "carried": True},
        {"words": "sharpened", "when": "hour >= 22", "carried": False},
    ]
    about: dict[str, Any] = json.loads((bundle / "bundle.json").read_text())
    write_onnx_file(served, 48, path, {**about, "graph": {"corrections": told}})
    return path


def test_a_graph_answers_for_files_as_its_bundle_does(
    bundle: Path, graph: Path, shots: Path
) -> None:
    images = [*sorted(shots.glob("[0-9]*.png")), shots / "broken.png"]
    want, got = (
        load_predictor(str(bundle), attributes=["luminance"]),
        load_predictor(str(graph), attributes=["luminance"]),
    )
    assert isinstance(want.engine, NetworkEngine)
    assert isinstance(got.engine, GraphEngine)
    assert got.columns == want.columns
    rows, other = want.predict(images), got.predict(images)
    same = ["path", "predicted", "decision", "correction", "slices", "luminance", "error"]
    assert set(rows["correction"].dropna()) == {"", "exposure x4"}
    assert set(rows["decision"]) == {"answer", "decline", "error"}
    assert rows[same].equals(other[same])
    np.testing.assert_allclose(
        other["probability"], rows["probability"], atol=2e-3
    )  # a temperature of 0.0001


def test_it_says_what_the_file_leaves_out(bundle: Path, graph: Path) -> None:
    assert list(load_predictor(str(graph)).engine.omitted_corrections) == [
        "sharpened where hour >= 22"
    ]
    assert list(load_predictor(str(bundle)).engine.omitted_corrections) == []


def test_an_exported_folder_is_taken_by_what_lies_in_it(graph: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graph.read_bytes())
    assert isinstance(load_predictor(str(tmp_path)).engine, GraphEngine)


@pytest.mark.parametrize(
    ("file", "reader"), [("model.pt2", "torch.export.load"), ("MLmodel", "mlflow.pyfunc")]
)
def test_what_other_tools_load_is_refused_in_one_line(
    tmp_path: Path, file: str, reader: str
) -> None:
    (tmp_path / file).write_bytes(b"")
    for name in (tmp_path, tmp_path / file):
        with pytest.raises(
            InputError, match=f"is for {reader}.*name the run, or an export as safetensors or ONNX"
        ):
            load_predictor(str(name))


def test_another_onnx_file_is_refused(tmp_path: Path) -> None:
    kind = onnx.TensorProto.FLOAT
    ends = [onnx.helper.make_tensor_value_info(name, kind, [1]) for name in ("x", "y")]
    body = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1], ends[1:]
    )
    model = onnx.helper.make_model(
        body, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8
    )
    onnx.save(model, str(tmp_path / "m.onnx"))
    with pytest.raises(InputError, match="not written by nightshift export"):
        open_engine(tmp_path / "m.onnx")
    with pytest.raises(InputError, match="no such file"):
        load_predictor(str(tmp_path / "gone.onnx"))
