"""Real small models on real small images: the pipeline that made the predictions is found."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.analysis.image_fitting import Geometry, ImageFitting
from pipeline.analysis.preprocessing_inference import infer_preprocessing
from pipeline.contracts import InputError
from pipeline.learning.models.external_model import ExternalModel
from pipeline.learning.models.onnx_model import load_onnx_model
from pipeline.learning.models.program_model import load_program_model
from tests.analysis.small_models import (
    PIPELINES,
    SIDE,
    PrototypeClassifier,
    export_model,
    prepare_views,
    write_views,
)

EXPECTED = {
    "torchvision's ImageNet": (
        Geometry.LOOSE_CENTER_CROP,
        "antialiased bilinear",
        "ImageNet's mean and deviation",
    ),
    "timm's bicubic, whole crop": (Geometry.CENTER_CROP, "antialiased bicubic", "-1 to 1"),
    "stretched by OpenCV's cubic": (Geometry.STRETCH, "OpenCV cubic", "0 to 1"),
    "stretched by OpenCV, unscaled": (Geometry.STRETCH, "OpenCV linear", "0 to 255"),
    "letterboxed on black": (
        Geometry.BLACK_LETTERBOX,
        "OpenCV area",
        "ImageNet's mean and deviation",
    ),
}


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_views(tmp_path_factory.mktemp("views"), 60)


@pytest.fixture(scope="module")
def networks(views: list[Path]) -> dict[str, PrototypeClassifier]:
    chosen = views[:6]
    return {name: PrototypeClassifier(prepare_views(chosen, PIPELINES[name])) for name in PIPELINES}


def _load(network: PrototypeClassifier, path: Path) -> ExternalModel:
    export_model(network, path)
    if path.suffix == ".pt2":
        return load_program_model(path, SIDE)
    return load_onnx_model(path, SIDE)


@pytest.mark.parametrize("name", PIPELINES)
def test_each_usual_pipeline_is_recovered(
    name: str, views: list[Path], networks: dict[str, PrototypeClassifier], tmp_path: Path
) -> None:
    with torch.inference_mode():
        logits = networks[name](prepare_views(views, PIPELINES[name])).numpy()
    assert len(set(logits.argmax(1))) == 6
    suffix = ".onnx" if name == "torchvision's ImageNet" else ".pt2"
    model = _load(networks[name], tmp_path / f"m{suffix}")
    match = infer_preprocessing(model, views, logits, "m", 0)
    fitting = match.preprocessing.fitting
    found = (fitting.geometry, str(fitting.interpolation), match.preprocessing.scaling)
    assert found == EXPECTED[name]
    assert match.agreement > 0.98
    assert match.distance < 0.01


def test_a_tie_of_geometries_is_harmless(
    networks: dict[str, PrototypeClassifier], tmp_path: Path
) -> None:
    """Square images do not tell a stretch from a letterbox; either one answers alike."""
    paths = write_views(tmp_path, 40)
    for path in paths:
        with Image.open(path) as image:
            image.crop((0, 0, 70, 70)).save(path)
    name = "stretched by OpenCV's cubic"
    with torch.inference_mode():
        logits = networks[name](prepare_views(paths, PIPELINES[name])).numpy()
    match = infer_preprocessing(_load(networks[name], tmp_path / "m.pt2"), paths, logits, "m", 0)
    assert match.preprocessing.fitting.geometry != Geometry.LOOSE_CENTER_CROP
    assert match.preprocessing.scaling == "0 to 1"
    with Image.open(paths[0]) as image:
        pixels = np.asarray(image.convert("RGB"))
    stretched = ImageFitting(Geometry.STRETCH, match.preprocessing.fitting.interpolation)
    assert np.array_equal(
        match.preprocessing.fitting.fit_image(pixels, SIDE), stretched.fit_image(pixels, SIDE)
    )


def test_another_model_is_refused_with_the_best_agreement(
    views: list[Path], networks: dict[str, PrototypeClassifier], tmp_path: Path
) -> None:
    name = "letterboxed on black"
    model = _load(networks[name], tmp_path / "m.pt2")
    rng = np.random.default_rng(0)
    logits = np.eye(6, dtype=np.float32)[rng.integers(0, 6, len(views))]
    with pytest.raises(InputError, match=r"m\.pt2: answers .* for \d\d?% of 60 images at best"):
        infer_preprocessing(model, views, logits, "m.pt2", 0)
    with pytest.raises(InputError, match="answers with 6 classes, the predictions have 4"):
        infer_preprocessing(model, views, logits[:, :4], "m.pt2", 0)
