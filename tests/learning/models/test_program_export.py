import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from pipeline.contracts import InputError
from pipeline.learning.models.backbone import build_network
from pipeline.learning.models.decision_module import (
    OUTPUT_NAMES,
    ContrastScaling,
    DecisionModule,
    ImageCorrection,
    ImageResampling,
    LookupTable,
)
from pipeline.learning.models.exported_program import ProgramNetwork
from pipeline.learning.models.program_export import write_onnx_file, write_torch_program

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def served() -> DecisionModule:
    """With each kind of change and of condition."""
    model, meta = build_network("test_efficientnet", "none", ["a", "b", "c"], 32, 0.0, seed=3)
    y, x = np.mgrid[0:32, 0:32].astype(float)
    turned = ImageResampling(np.stack([31 - y, x], -1))
    corrections = [
        ImageCorrection((("tilt", ">=", 20.0),), turned),
        ImageCorrection(
            (("contrast_level", "between", (0.0, 50.0)), ("saturation", ">=", 0.1)),
            ContrastScaling(1.5),
        ),
        ImageCorrection(
            (("warmth", "<=", 0.0), ("luminance", ">=", 1.0)),
            LookupTable(255 - np.mgrid[0:256, 0:3][0]),
        ),
    ]
    return DecisionModule(model, {**meta, "temperature": 0.5}, corrections, 0.4)


def _names(session: Any) -> list[str]:
    return [output.name for output in session.get_outputs()]


def test_onnx_gives_what_torch_gives_for_any_batch(served: DecisionModule, tmp_path: Path) -> None:
    write_onnx_file(served, 32, tmp_path / "m.onnx", {"classes": ["ä"]})
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["nightshift"]) == {
        "classes": ["ä"]
    }
    assert _names(session) == list(OUTPUT_NAMES)
    assert set(served(torch.from_numpy(PIXELS))[3].tolist()) == {-1, 0, 1, 2}
    for count in (5, 1, 2):
        want = [part.numpy() for part in served(torch.from_numpy(PIXELS[:count]))]
        got = session.run(None, {"pixels": PIXELS[:count]})
        np.testing.assert_allclose(got[1], want[1], atol=1e-5)
        for part in (0, 2, 3):
            assert (got[part] == want[part]).all()


def test_a_program_is_loaded_by_torch_alone(served: DecisionModule, tmp_path: Path) -> None:
    write_torch_program(served, 32, tmp_path / "m.pt2", {"side": 32})
    about = {"nightshift": ""}
    program = torch.export.load(tmp_path / "m.pt2", extra_files=about).module()
    assert json.loads(about["nightshift"]) == {"side": 32}
    for got, want in zip(
        program(torch.from_numpy(PIXELS)), served(torch.from_numpy(PIXELS)), strict=True
    ):
        torch.testing.assert_close(got, want)


def test_missing_onnx_packages_raise_with_the_install_command(
    served: DecisionModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"pip install 'nightshift\[onnx\]'"):
        write_onnx_file(served, 32, tmp_path / "m.onnx", {})


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return build_network("test_efficientnet", "none", ["a", "b", "c"], 32, 0.0, seed=3)[0].eval()


def _serve_program(network: torch.nn.Module, path: Path, batch: int | None) -> DecisionModule:
    """Return the decision of a user's own program, for any number of images or a fixed one."""
    free = None if batch else ({0: torch.export.Dim("batch")},)
    example = (torch.rand(batch or 2, 3, 32, 32),)
    torch.export.save(torch.export.export(network, example, dynamic_shapes=free), path)
    meta = {"mean": [0.5] * 3, "std": [0.5] * 3, "temperature": 1.0}
    return DecisionModule(ProgramNetwork(path, [2, 0, 1]), meta, [], 0.4)


@pytest.mark.parametrize("write", [write_onnx_file, write_torch_program])
def test_a_users_own_program_is_exported_for_any_batch(
    write: Any, network: torch.nn.Module, tmp_path: Path
) -> None:
    served = _serve_program(network, tmp_path / "user.pt2", None)
    path = tmp_path / "m.pt2"
    write(served, 32, path, {})
    if write is write_onnx_file:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    else:
        program = torch.export.load(path).module()
    for count in (5, 2, 3):
        want = served(torch.from_numpy(PIXELS[:count]))
        if write is write_onnx_file:
            got = session.run(None, {"pixels": PIXELS[:count]})
        else:
            got = program(torch.from_numpy(PIXELS[:count]))
        np.testing.assert_allclose(np.asarray(got[1]), want[1].numpy(), atol=1e-5)


class _FixedBatch(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3)).reshape(images.shape[0], 3)


@pytest.mark.parametrize("write", [write_onnx_file, write_torch_program])
def test_a_program_of_a_fixed_batch_is_one_line(write: Any, tmp_path: Path) -> None:
    served = _serve_program(_FixedBatch(), tmp_path / "user.pt2", 4)
    with pytest.raises(InputError, match="--format safetensors") as caught:
        write(served, 32, tmp_path / "m.pt2", {})
    assert "\n" not in str(caught.value)
