import json
from pathlib import Path

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
from tests.serving.prediction.conftest import write_bundle

ALL_LEVELS = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 16, 16, 3)


@pytest.fixture(scope="session")
def graph_file(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle as ONNX, as `nightshift export` writes it, with one of two corrections inside."""
    path = tmp_path_factory.mktemp("graph") / "any name.onnx"
    network, meta = load_model(bundle)
    brighten = LookupTable(apply_remedy("exposure", ALL_LEVELS, 4.0, 4.0, seed=0).reshape(256, 3))
    correction = ImageCorrection((("luminance", "<=", 45.0),), brighten)
    module = DecisionModule(network, meta, [correction], 0.8)
    descriptions = [
        {"words": "exposure x4", "when": "luminance <= 45", "is_carried": True},
        {"words": "sharpened", "when": "hour >= 22", "is_carried": False},
    ]
    record = json.loads((bundle / "bundle.json").read_text())
    write_onnx_file(module, 48, path, {**record, "graph": {"corrections": descriptions}})
    return path


def test_graph_predicts_as_its_bundle(bundle: Path, graph_file: Path, image_folder: Path) -> None:
    images = [*sorted(image_folder.glob("[0-9]*.png")), image_folder / "broken.png"]
    network = load_predictor(str(bundle), attributes=["luminance"])
    graph = load_predictor(str(graph_file), attributes=["luminance"])
    assert isinstance(network.engine, NetworkEngine)
    assert isinstance(graph.engine, GraphEngine)
    assert graph.columns == network.columns
    expected = network.predict(images)
    actual = graph.predict(images)
    assert set(expected["correction"].dropna()) == {"", "exposure x4"}
    assert set(expected["decision"]) == {"answer", "decline", "error"}
    equal = [
        "path",
        "predicted",
        "decision",
        "reason",
        "correction",
        "slices",
        "luminance",
        "error",
    ]
    assert expected[equal].equals(actual[equal])
    # The temperature of 0.0001 enlarges the differences of rounding.
    np.testing.assert_allclose(actual["probability"], expected["probability"], atol=2e-3)


def test_omitted_corrections_are_those_outside_the_graph(bundle: Path, graph_file: Path) -> None:
    omitted = load_predictor(str(graph_file)).engine.omitted_corrections
    assert list(omitted) == ["sharpened if hour >= 22"]
    assert list(load_predictor(str(bundle)).engine.omitted_corrections) == []


def test_image_gets_only_its_first_correction(bundle: Path) -> None:
    engine = NetworkEngine(bundle)
    corrections = [
        {"slice": "s1", "remedy": "exposure", "strength": 4.0, "words": "first"},
        {"slice": "s2", "remedy": "exposure", "strength": 4.0, "words": "second"},
    ]
    policy = {**engine.meta["policy"], "corrections": corrections}
    engine.meta = {**engine.meta, "policy": policy}
    pixels = np.full((3, 48, 48, 3), 20, np.uint8)
    masks = {"s1": np.array([True, True, False]), "s2": np.array([False, True, True])}
    assert engine.predict_pixels(pixels, masks).applied_corrections == ["first", "first", "second"]


def test_another_onnx_file_is_refused(tmp_path: Path) -> None:
    kind = onnx.TensorProto.FLOAT
    ends = [onnx.helper.make_tensor_value_info(name, kind, [1]) for name in ("x", "y")]
    identity = onnx.helper.make_node("Identity", ["x"], ["y"])
    body = onnx.helper.make_graph([identity], "g", ends[:1], ends[1:])
    opset = onnx.helper.make_opsetid("", 13)
    model = onnx.helper.make_model(body, opset_imports=[opset], ir_version=8)
    onnx.save(model, str(tmp_path / "m.onnx"))
    with pytest.raises(InputError, match="not written by nightshift export"):
        open_engine(tmp_path / "m.onnx")
    with pytest.raises(InputError, match="no such file"):
        open_engine(tmp_path / "gone.onnx")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classes", "ab"),
        ("side", 10**9),
        ("temperature", 0),
        ("policy", {}),
        ("policy", {"decline": {"threshold": "high"}, "corrections": []}),
        ("slices", {}),
        ("slices", [{"slice": "s1", "rule": "{"}]),
        ("slices", [{"slice": "s1", "rule": '{"conditions": [{"op": "<="}]}'}]),
        ("slices", []),
    ],
)
def test_a_malformed_bundle_is_one_line(
    key: str, value: object, bundle: Path, graph_file: Path, tmp_path: Path
) -> None:
    damaged = write_bundle(bundle, tmp_path / "bundle", **{key: value})
    with pytest.raises(InputError, match="bundle") as caught:
        load_predictor(str(damaged))
    assert "\n" not in str(caught.value)
    model = onnx.load(str(graph_file))
    record = json.loads(model.metadata_props[0].value)
    record[key] = value
    model.metadata_props[0].value = json.dumps(record)
    onnx.save(model, str(tmp_path / "g.onnx"))
    with pytest.raises(InputError, match=r"g\.onnx"):
        load_predictor(str(tmp_path / "g.onnx"))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 9999, '{"bundle_format": 2}'])
def test_damaged_metadata_of_a_graph_is_one_line(
    text: str, graph_file: Path, tmp_path: Path
) -> None:
    model = onnx.load(str(graph_file))
    model.metadata_props[0].value = text
    onnx.save(model, str(tmp_path / "g.onnx"))
    with pytest.raises(InputError, match=r"g\.onnx") as caught:
        load_predictor(str(tmp_path / "g.onnx"))
    assert "\n" not in str(caught.value)
