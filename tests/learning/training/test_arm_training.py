"""The arms that the gate compares: pipeline/learning/training/arm_training.py."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from pipeline.contracts import StageContext
from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.models.backbone import build_network, save_model
from pipeline.learning.training.arm_store import ArmStore
from pipeline.learning.training.arm_training import ArmTrainer, TrainingArm, build_arms
from pipeline.learning.training_settings import FitSettings
from pipeline.remedies import apply_remedy
from tests.learning.drawn import draw_images

SETTINGS = FitSettings(recipe="bare", batch_size=8, epochs=1)
CLASS_NAMES = ["lying", "standing"]
COUNT = 40
PLAN_DTYPES = {
    "image_id": "str",
    "slice": "str",
    "remedy": "str",
    "strength_low": "float64",
    "strength_high": "float64",
    "probability": "float64",
    "tone_share": "float64",
    "simulator": "str",
}


def _make_plan(ids: Iterable[str], remedy: str, strength: float) -> pd.DataFrame:
    rows = [(image_id, "s0", remedy, strength, strength, 1.0, 0.0, None) for image_id in ids]
    return pd.DataFrame(rows, columns=list(PLAN_DTYPES)).astype(PLAN_DTYPES)


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    model, meta = build_network("test_efficientnet", "none", CLASS_NAMES, 32, 0.0, seed=0)
    return save_model(tmp_path / "model", model, meta | {"temperature": 1.7})


@pytest.fixture
def training_images() -> TrainingImages:
    return draw_images(COUNT)


def _build_arms(
    training_images: TrainingImages, model_folder: Path, plan: pd.DataFrame, has_generic_arm: bool
) -> list[TrainingArm]:
    ids = [f"i{k}" for k in range(COUNT)]
    labels = [CLASS_NAMES[label] for label in training_images.labels]
    columns = ("content_hash", "slice", "label", "simulator", "condition")
    return build_arms(
        training_images,
        model_folder,
        apply_remedy,
        has_generic_arm,
        images=pd.DataFrame({"image_id": ids, "label": labels}),
        plan=plan,
        simulated=pd.DataFrame(columns=columns),
        simulated_pixels=np.zeros((0, 32, 32, 3), np.uint8),
    )


def _are_equal(one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]]) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


def test_a_treatment_without_effect_gives_the_weights_of_the_control_arm(
    training_images: TrainingImages, model_folder: Path, tmp_path: Path
) -> None:
    """Start, order of images and budget are the same in both arms."""
    ids = [f"i{k}" for k in range(COUNT)]
    weights = {}
    for strength in (1.0, 0.3):
        context = StageContext("run", 0, tmp_path / str(strength), tmp_path)
        trainer = ArmTrainer(SETTINGS, COUNT, model_folder, tmp_path / "out", context)
        plan = _make_plan(ids, "exposure", strength)
        for arm in _build_arms(training_images, model_folder, plan, False):
            file, record = trainer.train_arm(arm, 5, f"{arm.name}-{strength}")
            weights[arm.name, strength] = load_file(file)
            assert record["passes"] == COUNT
            assert record["rows"] == COUNT
    assert _are_equal(weights["control", 1.0], weights["targeted", 1.0])
    assert _are_equal(weights["control", 1.0], weights["control", 0.3])
    assert not _are_equal(weights["targeted", 1.0], weights["targeted", 0.3])
    start = load_file(model_folder / "model.safetensors")
    assert not _are_equal(weights["control", 1.0], start)


def test_repeated_images_do_not_raise_the_budget(
    training_images: TrainingImages, model_folder: Path, tmp_path: Path
) -> None:
    plan = pd.concat(
        [
            _make_plan(["i0", "i1", "i2", "i3"], "oversampling", 3.0),
            _make_plan(["i8", "i9"], "blur", 2.0),
        ]
    )
    control, targeted = _build_arms(training_images, model_folder, plan, False)
    counts = np.bincount(targeted.images.image_rows, minlength=COUNT)
    assert counts.tolist() == [3] * 4 + [1] * (COUNT - 4)
    assert targeted.treatment is not None
    pixels = np.asarray(training_images.pixels[:2])
    treated = targeted.treatment(np.array([0, 8]), pixels, 5)
    assert (treated[0] == pixels[0]).all(), "repeated, not changed"
    assert (treated[1] != pixels[1]).any()
    context = StageContext("run", 0, tmp_path, tmp_path)
    trainer = ArmTrainer(SETTINGS, COUNT, model_folder, tmp_path / "out", context)
    records = [trainer.train_arm(arm, 5, arm.name)[1] for arm in (control, targeted)]
    assert records[0]["passes"] == records[1]["passes"]


def test_a_plan_of_weights_alone_trains_the_last_layer_alone(
    training_images: TrainingImages, model_folder: Path, tmp_path: Path
) -> None:
    plan = _make_plan(["i0", "i1"], "reweighting", 5.0)
    context = StageContext("run", 0, tmp_path, tmp_path)
    trainer = ArmTrainer(SETTINGS, COUNT, model_folder, tmp_path / "out", context)
    start = load_file(model_folder / "model.safetensors")
    changed = {}
    for arm in _build_arms(training_images, model_folder, plan, False):
        weights = load_file(trainer.train_arm(arm, 5, arm.name)[0])
        changed[arm.name] = {k for k in start if not np.array_equal(weights[k], start[k])}
    head = {name for name in start if name.startswith("classifier")}
    assert changed["targeted"] == head
    assert changed["control"] > head


def test_the_generic_arm_is_optional_and_comes_last(
    training_images: TrainingImages, model_folder: Path
) -> None:
    plan = _make_plan(["i0"], "exposure", 0.3)
    names = {}
    for has_generic_arm in (True, False):
        arms = _build_arms(training_images, model_folder, plan, has_generic_arm)
        names[has_generic_arm] = [arm.name for arm in arms]
    assert names == {True: ["control", "targeted", "generic"], False: ["control", "targeted"]}


def test_an_equal_training_is_taken_from_the_store_and_another_one_is_not(
    training_images: TrainingImages, model_folder: Path, tmp_path: Path
) -> None:
    plan = _make_plan([f"i{k}" for k in range(COUNT)], "exposure", 0.5)
    stronger = _make_plan([f"i{k}" for k in range(COUNT)], "exposure", 0.4)
    store = ArmStore(tmp_path / "arms")

    def train(plan: pd.DataFrame, seed: int, number: int, data_key: str = "data") -> list[bool]:
        context = StageContext(f"run{number}", 0, tmp_path, tmp_path)
        trainer = ArmTrainer(
            SETTINGS, COUNT, model_folder, tmp_path / f"out{number}", context, store, data_key
        )
        arms = _build_arms(training_images, model_folder, plan, False)
        return [trainer.train_arm(arm, seed, arm.name)[1]["is_reused"] for arm in arms]

    assert train(plan, 1, 0) == [False, False]
    assert train(plan, 1, 1) == [True, True]
    assert train(stronger, 1, 2) == [True, False], "the plan of the targeted arm changed"
    assert train(plan, 2, 3) == [False, False], "another seed"
    assert train(plan, 1, 4, "other pixels") == [False, False]
    for name in ("control", "targeted"):
        files = [tmp_path / f"out{number}" / f"{name}.safetensors" for number in (0, 1)]
        assert _are_equal(load_file(files[0]), load_file(files[1]))
