import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from scipy.special import softmax

from pipeline.contracts import InputError
from pipeline.domain.rules import Condition
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.serving.export import model_export
from pipeline.serving.prediction.inference_engine import NetworkEngine
from pipeline.serving.prediction.predictor import load_predictor
from pipeline.storage.artifact_store import RunFolder
from tests.serving.export.conftest import begin, correction, put, taught

SIDE = 64
SIGNS = ("00", "07", "14", "33")


@pytest.fixture(scope="session")
def signs(gtsrb: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run on 360 real traffic signs: the packaged network with a head of its own; 3 corrections."""
    home = tmp_path_factory.mktemp("signs")
    for sign in SIGNS:
        found = sorted((gtsrb / sign).iterdir())
        for path in found[:: max(1, len(found) // 90)][:90]:
            (home / "images" / sign).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, home / "images" / sign)
    run = begin(home / "runs" / "signs", home / "images", SIDE)
    light, warmth = (
        float(run.load_artifact("attributes")[name].quantile(0.3))
        for name in ("luminance", "warmth")
    )
    corrections = [
        correction(
            "s1",
            "exposure",
            2.0,
            Condition("luminance", "<=", light),
            Condition("saturation", ">=", 0.1),
        ),
        correction("s2", "rotation", 10.0, Condition("warmth", "<=", warmth)),
        correction("s3", "exposure", 3.0, Condition("hour", ">=", 20.0)),
    ]
    network, meta = taught(run, "tf_efficientnet_lite0", "packaged", SIDE)
    scores = compute_logits(network, np.array(run.load_artifact("pixels")), meta) / 2.0
    threshold = float(np.quantile(softmax(scores, axis=1).max(1), 0.4))
    put(run, network, {**meta, "temperature": 2.0}, corrections, threshold)
    return run


@pytest.fixture(scope="session")
def onnx_file(signs: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    return model_export.export_model(
        "signs", signs.path.parent, "onnx", tmp_path_factory.mktemp("out") / "signs"
    )


def _asked(path: Path, pixels: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"pixels": pixels})


@pytest.mark.data
def test_onnx_decides_on_real_images_as_predict_does(
    signs: RunFolder, onnx_file: tuple[Path, list[str]]
) -> None:
    pixels = np.array(signs.load_artifact("pixels"))
    want = load_predictor("signs", signs.path.parent).predict(list(pixels))
    predicted, chance, answer, done = _asked(onnx_file[0], pixels)
    meta = json.loads((signs.get_artifact_path("bundle") / "bundle.json").read_text())
    words = np.array(["exposure at 2", "rotation at 10", ""])
    assert set(want["correction"]) == set(words), "all of them are put to the test"
    assert 0.1 < (want["decision"] == "answer").mean() < 0.9
    assert (np.array(meta["classes"])[predicted] == want["predicted"]).all()
    assert (np.where(answer, "answer", "decline") == want["decision"]).all()
    assert (words[done] == want["correction"]).all()
    np.testing.assert_allclose(chance.max(1), want["probability"], atol=1e-4)
    np.testing.assert_allclose(np.sort(chance)[:, -2], want["probability_2"], atol=1e-4)


@pytest.mark.data
def test_the_batch_size_is_free(signs: RunFolder, onnx_file: tuple[Path, list[str]]) -> None:
    pixels = np.array(signs.load_artifact("pixels")[:9])
    whole = _asked(onnx_file[0], pixels)[1]
    alone = np.concatenate([_asked(onnx_file[0], pixels[k : k + 1])[1] for k in range(9)])
    np.testing.assert_allclose(alone, whole, atol=1e-5)
    assert _asked(onnx_file[0], pixels[:0])[0].shape == (0,)


@pytest.mark.data
def test_images_as_stored_are_answered_alike_but_for_those_on_the_threshold(
    signs: RunFolder, onnx_file: tuple[Path, list[str]]
) -> None:
    """The graph measures the small copy: what may differ by that is counted when it is written, and said."""
    images = [signs.path.parents[1] / "images" / p for p in signs.load_artifact("images")["path"]]
    network, graph = load_predictor("signs", signs.path.parent), load_predictor(str(onnx_file[0]))
    want, got = network.predict(images), graph.predict(images)
    told = {item["slice"]: item for item in graph.meta["graph"]["corrections"]}
    moved = int((want["correction"] != got["correction"]).sum())
    assert moved <= told["s1"]["elsewhere"] + told["s2"]["elsewhere"]
    same = want["correction"] == got["correction"]
    assert (want["decision"] == got["decision"])[same].all()
    np.testing.assert_allclose(
        want.loc[same, "probability"], got.loc[same, "probability"], atol=1e-4
    )
    assert list(graph.engine.omitted_corrections) == ["exposure at 3 where hour >= 20"]
    assert [line.split(":")[0] for line in onnx_file[1]] == ["correction inside"] * 2 + [
        "correction left out"
    ]


def test_what_no_graph_can_ask_is_left_out_and_said(night_run: RunFolder, tmp_path: Path) -> None:
    path, lines = model_export.export_model("run1", night_run.path.parent, "onnx", tmp_path / "out")
    assert path == tmp_path / "out" / "model.onnx"
    assert lines[0].startswith(
        "correction inside: exposure at 3 where luminance <= 45; 0 of 80 images of val fall on"
    )
    assert lines[1].startswith(
        "correction left out: sharpen at 0.5 where hour from 22 to 4: hour from 22 to 4 cannot"
    )
    about = json.loads(
        onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map["nightshift"]
    )
    assert [item["carried"] for item in about["graph"]["corrections"]] == [True, False]
    assert about["classes"] == ["lying", "standing"]
    assert (
        "**Not in this file**: hour from 22 to 4 cannot be told"
        in (path.parent / "README.md").read_text()
    )
    assert str(Path.home()) not in path.read_bytes().decode("latin-1"), "no path of this machine"


def test_torch_export_gives_what_onnx_gives(night_run: RunFolder, tmp_path: Path) -> None:
    home, pixels = night_run.path.parent, np.array(night_run.load_artifact("pixels"))
    path, lines = model_export.export_model("run1", home, "torch", tmp_path / "out")
    about = {"nightshift": ""}
    program = torch.export.load(path, extra_files=about).module()
    predicted, chance, answer, _ = (part.numpy() for part in program(torch.from_numpy(pixels)))
    want = load_predictor(str(night_run.get_artifact_path("bundle"))).predict(list(pixels))
    np.testing.assert_allclose(chance.max(1), want["probability"], atol=1e-4)
    assert (np.array(["lying", "standing"])[predicted] == want["predicted"]).all()
    assert (np.where(answer, "answer", "decline") == want["decision"]).all()
    assert json.loads(about["nightshift"])["graph"]["corrections"][1]["carried"] is False
    assert len(lines) == 2
    with pytest.raises(InputError, match=r"is for torch\.export\.load; name the run"):
        load_predictor(str(path))


def test_safetensors_is_a_bundle_that_predict_takes(night_run: RunFolder, tmp_path: Path) -> None:
    path, lines = model_export.export_model(
        "run1", night_run.path.parent, "safetensors", tmp_path / "out"
    )
    images = sorted((night_run.path.parents[1] / "images").glob("*.png"))[:6]
    predictor = load_predictor(str(path))
    assert isinstance(predictor.engine, NetworkEngine)
    pd.testing.assert_frame_equal(
        predictor.predict(images), load_predictor("run1", night_run.path.parent).predict(images)
    )
    assert lines == []
    assert (path / "README.md").read_text().startswith("---\nlibrary_name: nightshift\n")


def test_nothing_is_written_over_or_left_half_done(night_run: RunFolder, tmp_path: Path) -> None:
    home, out = night_run.path.parent, tmp_path / "out"
    model_export.export_model("run1", home, "safetensors", out)
    with pytest.raises(InputError, match="exists already"):
        model_export.export_model("run1", home, "safetensors", out)
    (out / "old").write_text("")
    model_export.export_model("run1", home, "safetensors", out, force=True)
    assert sorted(p.name for p in out.iterdir()) == [
        "README.md",
        "bundle.json",
        "model.json",
        "model.safetensors",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    with pytest.raises(
        InputError, match=r"--format tflite: there are onnx, torch, safetensors, mlflow"
    ):
        model_export.export_model("run1", home, "tflite", tmp_path / "other")


def test_a_run_without_a_report_is_refused(night_run: RunFolder, tmp_path: Path) -> None:
    run = RunFolder.open_or_create(tmp_path / "runs" / "half")
    shutil.copytree(night_run.get_artifact_path("bundle"), run.get_artifact_path("bundle"))
    with pytest.raises(
        InputError, match="has no report to write a card from; nightshift run --resume half"
    ):
        model_export.export_model("half", run.path.parent, "safetensors", tmp_path / "out")
