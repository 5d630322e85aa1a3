"""The search in a folder of unlabeled images: pipeline/slices/prescription/unlabeled_search.py."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.contracts import InputError, StageContext
from pipeline.data.unlabeled_images import list_unlabeled_images, read_unlabeled_images
from pipeline.learning.inference.model_outputs import extract_features
from pipeline.learning.models.backbone import build_network, save_model
from pipeline.slices.prescription.look_alikes import SliceExamples
from pipeline.slices.prescription.unlabeled_search import search_unlabeled_images

SIDE = 32
CLASSES = ["lying", "standing"]


def _draw_stripes(is_vertical: bool, rng: np.random.Generator) -> np.ndarray:
    """Return an image of stripes, which is what the failures and the others differ in."""
    stripes = np.where((np.arange(SIDE) + rng.integers(8)) % 8 < 4, 60, 190)
    image = np.broadcast_to(stripes, (SIDE, SIDE))
    image = image if is_vertical else image.T
    noisy = image[:, :, None] + rng.normal(0, 6, (SIDE, SIDE, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    network, meta = build_network("test_efficientnet", "none", CLASSES, SIDE, 0.0)
    return save_model(tmp_path / "model", network, meta)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "new"
    root.mkdir()
    rng = np.random.default_rng(1)
    for number in range(10):
        name = "vertical" if number < 5 else "horizontal"
        cv2.imwrite(str(root / f"{name}{number}.png"), _draw_stripes(number < 5, rng))
    (root / "broken.png").write_bytes(b"no image")
    return root


def _draw_examples() -> SliceExamples:
    rng = np.random.default_rng(0)
    images = [np.stack([_draw_stripes(flag, rng) for _ in range(8)]) for flag in (True, False)]
    return SliceExamples(extract_features(images[0]), extract_features(images[1]))


def test_images_like_the_failures_come_first(model: Path, folder: Path, tmp_path: Path) -> None:
    context = StageContext("run", 0, tmp_path, tmp_path)
    found = search_unlabeled_images(folder, context, {"s1": _draw_examples()}, set(), model)
    assert found.table["path"].str.startswith("vertical").tolist()[:5] == [True] * 5
    assert found.record["listed"] == {"s1": len(found.table)}
    assert (found.record["images"], found.record["rejected"]) == (10, 1)
    assert set(found.table["predicted"]) <= set(CLASSES)


def test_images_of_the_data_set_are_left_out(model: Path, folder: Path, tmp_path: Path) -> None:
    context = StageContext("run", 0, tmp_path, tmp_path)
    records = list_unlabeled_images(folder, "key")
    (chunk,) = read_unlabeled_images(records, SIDE, context.track_progress)
    known = set(chunk.content_hashes)
    found = search_unlabeled_images(folder, context, {"s1": _draw_examples()}, known, model)
    assert found.table.empty
    assert found.record["known"] == 10
    assert found.record["listed"] == {"s1": 0}


def test_a_missing_folder_is_one_line(model: Path, tmp_path: Path) -> None:
    context = StageContext("run", 0, tmp_path, tmp_path)
    with pytest.raises(InputError, match=r"prescribe\.unlabeled: .*absent: no such folder"):
        search_unlabeled_images(tmp_path / "absent", context, {}, set(), model)
