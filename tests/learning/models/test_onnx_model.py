from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pipeline.contracts import InputError
from pipeline.learning.models.onnx_model import load_onnx_model


def _mean_of_channels(path: Path, shape: list[object], axes: list[int], bias: float = 0.0) -> Path:
    """Scores: the mean over the axes, with a bias for the first."""
    mean = helper.make_node(
        "ReduceMean", ["x"], ["mean" if bias else "scores"], axes=axes, keepdims=0
    )
    nodes = [mean, helper.make_node("Add", ["mean", "bias"], ["scores"])] if bias else [mean]
    constant = helper.make_tensor("bias", TensorProto.FLOAT, [3], [bias, 0.0, 0.0])
    input_info = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    out = helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "mean", [input_info], [out], [constant] if bias else [])
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


PIXELS = np.random.default_rng(0).integers(0, 255, (70, 12, 12, 3)).astype(np.uint8)
PIXELS[::2, :, :, 0] //= 2


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        (["n", 3, 8, 8], [2, 3]),
        ([1, 8, 8, 3], [1, 2]),
        ([4, 3, 8, 8], [2, 3]),
        (["n", 3, "h", "w"], [2, 3]),
    ],
)
def test_channels_side_and_batch_are_read_off_the_model(
    tmp_path: Path, shape: list[object], axes: list[int]
) -> None:
    model = load_onnx_model(_mean_of_channels(tmp_path / "m.onnx", shape, axes), 12)
    assert model.side == (12 if "h" in shape else 8)
    pixels = PIXELS[:, : model.side, : model.side]
    scores = model.predict_scores(pixels, "0 to 1")
    assert scores == pytest.approx(pixels.mean((1, 2)) / 255, abs=1e-5)
    assert model.predict_scores(pixels, "0 to 255") == pytest.approx(255 * scores, abs=1e-3)
    assert model.predict_scores(PIXELS[:0], "0 to 1").shape[0] == 0


@pytest.mark.parametrize(
    ("shape", "words"),
    [(["n", 12], "one float input"), (["n", 1, 8, 8], "3 channels"), (["n", 3, 8, 6], "square")],
)
def test_another_kind_of_input_is_refused(tmp_path: Path, shape: list[object], words: str) -> None:
    path = _mean_of_channels(tmp_path / "m.onnx", shape, [1])
    with pytest.raises(InputError, match=words):
        load_onnx_model(path, 12)


@pytest.mark.parametrize("place", ["../weights", "/{folder}/weights", "link"])
def test_weights_outside_the_model_folder_are_not_read(place: str, tmp_path: Path) -> None:
    """An ONNX file may name files of its weights; one that leads out of its folder is refused."""
    (tmp_path / "weights").write_bytes(np.ones(3, np.float32).tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "weights")
    path = _mean_of_channels(folder / "m.onnx", ["n", 3, 8, 8], [2, 3], bias=1.0)
    model = onnx.load(str(path))
    tensor = model.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place.format(folder=str(tmp_path)[1:]))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="no ONNX model"):
        load_onnx_model(path, 8)
