"""Arms as they are compared and shipped: pipeline/learning/training/arm_mixing.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from pipeline.learning.batches.batch_sampling import ArraySubset, TrainingImages
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import build_network, load_model, save_model
from pipeline.learning.training import arm_mixing
from pipeline.learning.training.arm_mixing import ArmFit, ArmMixer, JudgingImages, SeedFits
from pipeline.learning.training.arm_training import TrainingArm
from tests.learning.drawn import draw_images

CLASS_NAMES = ["lying", "standing"]
RECORD: dict[str, Any] = {"passes": 8, "rows": 8, "loss": 0.1, "history": []}
IMAGE_HALVES = np.arange(40) // 2 % 2
NOTHING = draw_images(8).select_images(slice(0, 0))


@pytest.fixture
def images() -> TrainingImages:
    return draw_images(40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a model before and four trained ones."""
    for seed, name in enumerate(("model", "a", "b", "c", "d")):
        model, meta = build_network("test_efficientnet", "none", CLASS_NAMES, 32, 0.0, seed=seed)
        save_model(tmp_path, model, meta, f"{name}.safetensors")
    return tmp_path


def _create_mixer(folder: Path, images: TrainingImages, halves: NDArray[np.intp]) -> ArmMixer:
    labels = images.labels

    def compute_utilities(predictions: NDArray[np.intp]) -> NDArray[np.float64]:
        return (predictions == labels).astype(np.float64)

    parts = [labels == 0, labels == 1]
    pixels = ArraySubset(images.pixels, np.arange(len(images)))
    groups = (np.arange(len(images)) // 2).astype(str)
    judging = JudgingImages(pixels, halves, groups, parts, compute_utilities)
    arm = TrainingArm("targeted", None, images)
    return ArmMixer(arm, folder, folder / "out", judging, NOTHING)


def _make_fits(folder: Path, images: TrainingImages, seed: int, names: str) -> SeedFits:
    fits = tuple(ArmFit(folder / f"{name}.safetensors", images, None) for name in names)
    return SeedFits(seed, fits, RECORD)


def _predict(folder: Path, file: str, images: TrainingImages) -> NDArray[np.intp]:
    model, meta = load_model(folder, file)
    return np.asarray(compute_logits(model, images.load_pixels(), meta).argmax(1), dtype=np.intp)


def test_an_image_is_judged_by_the_training_that_did_not_see_its_half(
    folder: Path, images: TrainingImages
) -> None:
    mixer = _create_mixer(folder, images, IMAGE_HALVES)
    judged = mixer.judge_seeds([_make_fits(folder, images, 0, "ab")], (1.0, 1.0))
    saw_half_0 = _predict(folder, "a.safetensors", images)
    saw_half_1 = _predict(folder, "b.safetensors", images)
    assert (saw_half_0 != saw_half_1).any()
    expected = np.where(IMAGE_HALVES == 0, saw_half_1, saw_half_0) == images.labels
    np.testing.assert_array_equal(judged, expected)


def test_files_for_validation_hold_no_training_that_saw_the_half(
    folder: Path, images: TrainingImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arm_mixing, "SHARES", (0.7, 1.0))
    monkeypatch.setattr(arm_mixing, "choose_share", lambda *_: 0.7)
    written = {}
    for names in ("ab", "cb"):
        mixer = _create_mixer(folder, images, IMAGE_HALVES)
        entry = mixer.mix_seeds([_make_fits(folder, images, 0, names)]).entries[0]
        assert len({entry["file"], *entry["unseen"]}) == 3
        files = (*entry["unseen"], entry["file"])
        written[names] = [load_file(folder / "out" / file)["classifier.weight"] for file in files]
    is_equal = [np.array_equal(*weights) for weights in zip(*written.values(), strict=True)]
    assert is_equal == [True, False, False]


def test_the_share_of_a_half_is_chosen_without_its_labels(
    folder: Path, images: TrainingImages
) -> None:
    """Labels of one half change the share that judges the other half only."""
    fits = [_make_fits(folder, images, 0, "ab")]
    shares = {}
    for swapped in (None, 0, 1):
        labels = images.labels.copy()
        if swapped is not None:
            is_swapped = np.equal(IMAGE_HALVES, swapped)
            labels[is_swapped] = 1 - labels[is_swapped]
        relabeled = TrainingImages(images.pixels, images.image_rows, labels)
        entry = _create_mixer(folder, relabeled, IMAGE_HALVES).mix_seeds(fits).entries[0]
        shares[swapped] = entry["unseen_shares"]
    assert shares[0][0] == shares[None][0]
    assert shares[1][1] == shares[None][1]


def test_the_average_of_several_seeds_comes_first_and_ships(
    folder: Path, images: TrainingImages
) -> None:
    mixer = _create_mixer(folder, images, IMAGE_HALVES)
    seeds = [_make_fits(folder, images, 5, "ab"), _make_fits(folder, images, 6, "cd")]
    mixed = mixer.mix_seeds(seeds)
    assert [entry["seed"] for entry in mixed.entries] == [None, 5, 6]
    assert mixed.ladder["seeds"].shape == (2, 40)
    average = mixed.entries[0]
    before, after = (
        load_file(folder / "model.safetensors"),
        load_file(folder / "out" / average["file"]),
    )
    trained = [load_file(folder / f"{name}.safetensors") for name in "abcd"]
    name = "classifier.weight"
    mean = np.mean([weights[name] for weights in trained], axis=0)
    share = average["share"]
    np.testing.assert_allclose(after[name], share * mean + (1 - share) * before[name], atol=1e-6)


def test_one_training_without_validation_images_serves_both_halves(
    folder: Path, images: TrainingImages
) -> None:
    mixed = _create_mixer(folder, images, IMAGE_HALVES).mix_seeds(
        [_make_fits(folder, images, 0, "a")]
    )
    (entry,) = mixed.entries
    for half, file in enumerate(entry["unseen"]):
        if entry["unseen_shares"][half] == entry["share"]:
            assert file == entry["file"]
    assert entry["seed"] == 0
