import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.special import softmax

from pipeline.contracts import InputError
from pipeline.domain.rules import Condition
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.serving.export.model_export import export_model
from pipeline.serving.prediction.inference_engine import GraphEngine, NetworkEngine
from pipeline.serving.prediction.predictor import load_predictor
from pipeline.storage.artifact_store import RunFolder
from tests.serving.export.conftest import build_correction, build_run, fit_network, save_bundle

SIDE = 64
SIGNS = ("00", "07", "14", "33")
IMAGES_PER_SIGN = 90


@pytest.fixture(scope="session")
def sign_run(gtsrb: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run on 360 real traffic signs: packaged weights with a fitted head, and 3 corrections."""
    home = tmp_path_factory.mktemp("signs")
    for sign in SIGNS:
        paths = sorted((gtsrb / sign).iterdir())
        step = max(1, len(paths) // IMAGES_PER_SIGN)
        (home / "images" / sign).mkdir(parents=True)
        for path in paths[::step][:IMAGES_PER_SIGN]:
            shutil.copy(path, home / "images" / sign)
    run = build_run(home / "runs" / "signs", home / "images", SIDE)
    attributes = run.load_artifact("attributes")
    dark = Condition("luminance", "<=", float(attributes["luminance"].quantile(0.3)))
    cold = Condition("warmth", "<=", float(attributes["warmth"].quantile(0.3)))
    colorful = Condition("saturation", ">=", 0.1)
    corrections = [
        build_correction("s1", "exposure", 2.0, dark, colorful),
        build_correction("s2", "rotation", 10.0, cold),
        build_correction("s3", "exposure", 3.0, Condition("hour", ">=", 20.0)),
    ]
    network, meta = fit_network(run, "tf_efficientnet_lite0", "packaged", SIDE)
    logits = compute_logits(network, np.array(run.load_artifact("pixels")), meta)
    threshold = float(np.quantile(softmax(logits / 2.0, axis=1).max(1), 0.4))
    save_bundle(run, network, {**meta, "temperature": 2.0}, corrections, threshold)
    return run


@pytest.fixture(scope="session")
def onnx_export(
    sign_run: RunFolder, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    out = tmp_path_factory.mktemp("out") / "signs"
    return export_model("signs", sign_run.path.parent, "onnx", out)


def _run_graph(path: Path, pixels: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"pixels": pixels})


def _load_graph_metadata(path: Path) -> dict[str, object]:
    metadata = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    return json.loads(metadata["nightshift"])


@pytest.mark.data
def test_onnx_decides_on_real_images_as_predict(
    sign_run: RunFolder, onnx_export: tuple[Path, list[str]]
) -> None:
    pixels = np.array(sign_run.load_artifact("pixels"))
    predictor = load_predictor("signs", sign_run.path.parent)
    expected = predictor.predict(list(pixels))
    predicted, probabilities, is_answered, correction = _run_graph(onnx_export[0], pixels)
    words = np.array(["exposure at 2", "rotation at 10", ""])
    assert set(expected["correction"]) == set(words)
    assert 0.1 < (expected["decision"] == "answer").mean() < 0.9
    assert (np.array(predictor.meta["classes"])[predicted] == expected["predicted"]).all()
    assert (np.where(is_answered, "answer", "decline") == expected["decision"]).all()
    assert (words[correction] == expected["correction"]).all()
    ranked = np.sort(probabilities)
    np.testing.assert_allclose(ranked[:, -1], expected["probability"], atol=1e-4)
    np.testing.assert_allclose(ranked[:, -2], expected["probability_2"], atol=1e-4)


@pytest.mark.data
def test_onnx_accepts_any_batch_size(
    sign_run: RunFolder, onnx_export: tuple[Path, list[str]]
) -> None:
    pixels = np.array(sign_run.load_artifact("pixels")[:9])
    together = _run_graph(onnx_export[0], pixels)[1]
    single = [_run_graph(onnx_export[0], pixels[k : k + 1])[1] for k in range(9)]
    np.testing.assert_allclose(np.concatenate(single), together, atol=1e-5)
    assert _run_graph(onnx_export[0], pixels[:0])[0].shape == (0,)


@pytest.mark.data
def test_onnx_differs_from_predict_only_by_the_counted_mismatches(
    sign_run: RunFolder, onnx_export: tuple[Path, list[str]]
) -> None:
    """The graph measures the model's copy of a stored image, `predict` the image itself."""
    paths = [
        sign_run.path.parents[1] / "images" / p for p in sign_run.load_artifact("images")["path"]
    ]
    network = load_predictor("signs", sign_run.path.parent)
    graph = load_predictor(str(onnx_export[0]))
    expected = network.predict(paths)
    actual = graph.predict(paths)
    descriptions = graph.meta["graph"]["corrections"]
    mismatch_count = sum(item["mismatch_count"] or 0 for item in descriptions)
    is_equal = expected["correction"] == actual["correction"]
    assert (~is_equal).sum() <= mismatch_count
    assert (expected["decision"] == actual["decision"])[is_equal].all()
    np.testing.assert_allclose(
        expected.loc[is_equal, "probability"], actual.loc[is_equal, "probability"], atol=1e-4
    )
    assert len(graph.engine.omitted_corrections) == 1
    assert [item["is_carried"] for item in descriptions] == [True, True, False]


def test_omitted_correction_is_in_the_lines_the_file_and_the_card(
    night_run: RunFolder, tmp_path: Path
) -> None:
    path, lines = export_model("run1", night_run.path.parent, "onnx", tmp_path / "out")
    assert path == tmp_path / "out" / "model.onnx"
    assert [line.split(":")[0] for line in lines] == ["correction inside", "correction omitted"]
    metadata = _load_graph_metadata(path)
    carried, omitted = metadata["graph"]["corrections"]
    assert (carried["is_carried"], omitted["is_carried"]) == (True, False)
    assert (carried["mismatch_count"], carried["image_count"]) == (0, 80)
    assert omitted["omission_reason"] in lines[1]
    assert omitted["omission_reason"] in (path.parent / "README.md").read_text()
    assert metadata["classes"] == ["lying", "standing"]


def test_file_holds_no_path_of_this_machine(night_run: RunFolder, tmp_path: Path) -> None:
    path, _ = export_model("run1", night_run.path.parent, "onnx", tmp_path / "out")
    content = path.read_bytes()
    assert str(Path.home()).encode() not in content
    assert str(tmp_path).encode() not in content


def test_torch_program_decides_as_predict(night_run: RunFolder, tmp_path: Path) -> None:
    pixels = np.array(night_run.load_artifact("pixels"))
    path, lines = export_model("run1", night_run.path.parent, "torch", tmp_path / "out")
    metadata = {"nightshift": ""}
    program = torch.export.load(path, extra_files=metadata).module()
    outputs = [output.numpy() for output in program(torch.from_numpy(pixels))]
    predicted, probabilities, is_answered, _ = outputs
    bundle = str(night_run.get_artifact_path("bundle"))
    expected = load_predictor(bundle).predict(list(pixels))
    np.testing.assert_allclose(probabilities.max(1), expected["probability"], atol=1e-4)
    assert (np.array(["lying", "standing"])[predicted] == expected["predicted"]).all()
    assert (np.where(is_answered, "answer", "decline") == expected["decision"]).all()
    corrections = json.loads(metadata["nightshift"])["graph"]["corrections"]
    assert [item["is_carried"] for item in corrections] == [True, False]
    assert len(lines) == 2
    with pytest.raises(InputError, match=r"is for torch\.export\.load; name the run"):
        load_predictor(str(path))


def test_predict_loads_safetensors_and_onnx_exports(night_run: RunFolder, tmp_path: Path) -> None:
    runs_folder = night_run.path.parent
    images = sorted((night_run.path.parents[1] / "images").glob("*.png"))[:6]
    path, lines = export_model("run1", runs_folder, "safetensors", tmp_path / "bundle")
    predictor = load_predictor(str(path))
    assert isinstance(predictor.engine, NetworkEngine)
    expected = load_predictor("run1", runs_folder).predict(images)
    pd.testing.assert_frame_equal(predictor.predict(images), expected)
    assert lines == []
    assert (path / "README.md").read_text().startswith("---\nlibrary_name: nightshift\n")
    path, _ = export_model("run1", runs_folder, "onnx", tmp_path / "graph")
    for location in (path, path.parent):
        assert isinstance(load_predictor(str(location)).engine, GraphEngine)


def test_existing_folder_is_replaced_only_on_request(night_run: RunFolder, tmp_path: Path) -> None:
    runs_folder = night_run.path.parent
    out = tmp_path / "out"
    export_model("run1", runs_folder, "safetensors", out)
    (out / "old").write_text("")
    with pytest.raises(InputError, match="exists already"):
        export_model("run1", runs_folder, "safetensors", out)
    assert (out / "old").is_file()
    export_model("run1", runs_folder, "safetensors", out, should_replace=True)
    names = ["README.md", "bundle.json", "model.json", "model.safetensors"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_unknown_format_is_an_error(night_run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--format tflite: there are onnx, torch, safetensors"):
        export_model("run1", night_run.path.parent, "tflite", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_run_without_a_report_is_an_error(night_run: RunFolder, tmp_path: Path) -> None:
    run = RunFolder.open_or_create(tmp_path / "runs" / "half")
    shutil.copytree(night_run.get_artifact_path("bundle"), run.get_artifact_path("bundle"))
    with pytest.raises(InputError, match=r"no report .*; nightshift run --resume half"):
        export_model("half", run.path.parent, "safetensors", tmp_path / "out")


@pytest.mark.parametrize("format_name", ["onnx", "torch"])
def test_the_code_of_the_card_gives_the_probabilities_of_predict(
    night_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_name: str
) -> None:
    path, _ = export_model("run1", night_run.path.parent, format_name, tmp_path / "out")
    images = []
    rng = np.random.default_rng(0)
    forms = [
        ("JPEG", "RGB", (900, 500)),
        ("JPEG", "L", (70, 300)),
        ("PNG", "RGBA", (40, 90)),
        ("PNG", "RGB", (333, 333)),
        ("JPEG", "CMYK", (640, 480)),
        ("PNG", "P", (64, 64)),
        ("WEBP", "RGB", (301, 200)),
    ]
    for number, (kind, mode, size) in enumerate(forms):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)).resize(size)
        image = tmp_path / f"{number}.{kind.lower()}"
        exif = Image.Exif()
        exif[0x0112] = 6 if kind == "JPEG" else 1
        coarse.convert(mode).save(image, kind, exif=exif)
        images.append(image)
    cell = (path.parent / "README.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(path.parent)
    namespace: dict[str, Any] = {}
    exec(cell, namespace)
    labels, probabilities = namespace["predict"](images)
    expected = load_predictor("run1", night_run.path.parent).predict(images)
    np.testing.assert_allclose(probabilities.max(axis=1), expected["probability"], atol=1e-4)
    assert labels == expected["predicted"].tolist()
