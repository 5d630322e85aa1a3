"""Training a model, or taking one over: pipeline/stages/train.py."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from pipeline.contracts import InputError
from pipeline.domain.statuses import ModelOrigin
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import load_model
from pipeline.learning.training.holdout_split import select_training_images, split_holdout
from pipeline.stages import train
from pipeline.stages.train import Config, fingerprint_external_inputs
from pipeline.storage.artifact_store import RunFolder
from pipeline.storage.bundle_record import BUNDLE_FORMAT, FORMAT_KEY
from tests.learning.drawn import CLASS_NAMES, LearningArtifacts

SMALL = {
    "backbone": "test_efficientnet",
    "weights": "none",
    "dropout": 0.1,
    "batch_size": 8,
    "learning_rate": 4e-3,
    "epochs": 12,
}
QUICK = SMALL | {"epochs": 1}


def _write_champion(home: Path, model: Path) -> Path:
    """Write the bundle and the pointer that `promote` leaves behind, and return the bundle."""
    folder = home / "old" / "promote" / "bundle"
    folder.mkdir(parents=True)
    shutil.copy(model / "model.safetensors", folder)
    record = json.loads((model / "model.json").read_text()) | {FORMAT_KEY: BUNDLE_FORMAT}
    (folder / "bundle.json").write_text(json.dumps(record))
    bundle = f"{home.name}/old/promote/bundle"
    pointer = {"run_id": "old", "bundle": bundle, "champion": "candidate"}
    (home / "champions").mkdir()
    (home / "champions" / "run.json").write_text(json.dumps(pointer))
    return folder


def test_a_model_is_trained_and_its_record_is_complete(tmp_path: Path) -> None:
    artifacts = LearningArtifacts(group_count=100)
    made, notes = artifacts.run_stage(train, tmp_path, Config(**SMALL))
    assert notes == []
    model, meta = load_model(made["model"])
    val = (artifacts.splits["split"] == "val").to_numpy()
    predictions = compute_logits(model, artifacts.pixels[val], meta).argmax(1)
    labels = artifacts.images["label"].to_numpy()[val]
    assert (np.array(artifacts.class_names)[predictions] == labels).mean() > 0.85
    record = made["training"]
    assert meta["temperature"] == record["temperature"] != 1.0
    assert (meta["classes"], meta["side"]) == (["lying", "standing"], 32)
    assert meta["backbone"] == "test_efficientnet"
    assert record["best_step"] in set(made["history"]["step"])
    assert record["passes"] == record["steps"] * 8
    assert record["origin"] == ModelOrigin.TRAINED
    assert -1 < record["accuracy_gap"] < 1
    assert "seconds" not in str(record), "wall-clock times differ from run to run"


@pytest.mark.parametrize(("kept", "balance"), [(4, "none"), (4, "logits"), (60, "none")])
def test_a_rare_class_and_its_setting_are_noted(tmp_path: Path, kept: int, balance: str) -> None:
    artifacts = LearningArtifacts(group_count=100)
    is_rare = (artifacts.images["label"] == "standing") & (artifacts.splits["split"] == "train")
    artifacts.images.loc[artifacts.images.index[is_rare][kept:], "label"] = None
    settings = QUICK | {"class_balance": balance, "holdout": 0.01}
    _, notes = artifacts.run_stage(train, tmp_path, Config(**settings))
    is_noted = any("standing" in note and "train.class_balance" in note for note in notes)
    assert is_noted == (kept == 4 and balance == "none")


def test_the_holdout_and_the_other_splits_are_not_trained_on(tmp_path: Path) -> None:
    """Pixels of images outside the training set may change without changing the weights."""
    artifacts = LearningArtifacts(group_count=80)
    artifacts.images.loc[[0, 1], "label"] = None
    made, _ = artifacts.run_stage(train, tmp_path / "first", Config(**QUICK))
    images = select_training_images(
        artifacts.images, artifacts.splits, artifacts.pixels, artifacts.class_names
    )
    holdout = made["training"]["holdout"]
    groups = artifacts.images["group"].to_numpy()[images.image_rows]
    fitted, held_out = split_holdout(images, groups, holdout["share"], holdout["seed"])
    assert len(held_out) == holdout["images"] > 0
    assert not set(fitted.image_rows) & set(held_out.image_rows)
    is_fitted = np.isin(np.arange(len(artifacts.images)), fitted.image_rows)
    assert set(artifacts.splits["split"][is_fitted]) == {"train"}
    assert artifacts.images["label"][is_fitted].notna().all()
    # the holdout chooses the step, so that its pixels stay
    is_unused = ~is_fitted & ~np.isin(np.arange(len(artifacts.images)), held_out.image_rows)
    artifacts.pixels = artifacts.pixels.copy()
    artifacts.pixels[is_unused] = 0
    again, _ = artifacts.run_stage(train, tmp_path / "second", Config(**QUICK))
    name = "model.safetensors"
    assert (made["model"] / name).read_bytes() == (again["model"] / name).read_bytes()


def test_a_killed_training_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    whole, _ = LearningArtifacts().run_stage(train, tmp_path / "a", Config(**SMALL))

    def stop_at_step_30(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        for number, item in enumerate(items):
            if unit == "steps" and number == 30:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        LearningArtifacts().run_stage(train, tmp_path / "b", Config(**SMALL), stop_at_step_30)
    resumed, _ = LearningArtifacts().run_stage(train, tmp_path / "b", Config(**SMALL))
    for file in ("model.safetensors", "model.json"):
        assert (whole["model"] / file).read_bytes() == (resumed["model"] / file).read_bytes()
    assert whole["training"] == resumed["training"]
    assert whole["history"].equals(resumed["history"])


def test_an_absent_class_is_noted_with_its_cost(tmp_path: Path) -> None:
    artifacts = LearningArtifacts(group_count=90, class_count=3, class_names=CLASS_NAMES)
    is_square = artifacts.images["label"] == "square"
    is_absent = is_square & (artifacts.splits["split"] == "train").to_numpy()
    artifacts.splits.loc[is_absent, "split"] = "left_out"
    count = int((is_square & (artifacts.splits["split"] == "val").to_numpy()).sum())
    made, notes = artifacts.run_stage(train, tmp_path, Config(**QUICK))
    assert notes == [
        f"class square is absent from train: its {count} images of val cannot be recognized"
    ]
    assert count > 0
    assert load_file(made["model"] / "model.safetensors")["classifier.weight"].shape[0] == 3


@pytest.mark.parametrize("class_count", [1, 0])
def test_fewer_than_two_classes_are_refused_in_one_line(class_count: int, tmp_path: Path) -> None:
    artifacts = LearningArtifacts()
    is_kept = artifacts.images["label"].eq("lying") & (class_count > 0)
    artifacts.splits.loc[(artifacts.splits["split"] == "train") & ~is_kept, "split"] = "left_out"
    with pytest.raises(InputError, match="two classes are needed") as caught:
        artifacts.run_stage(train, tmp_path, Config(**QUICK))
    assert ("only lying" in str(caught.value)) == bool(class_count)
    assert "\n" not in str(caught.value)


def test_four_images_can_be_trained_on_without_a_holdout(tmp_path: Path) -> None:
    artifacts = LearningArtifacts(group_count=20)
    train_rows = artifacts.splits.index[artifacts.splits["split"] == "train"]
    kept = train_rows[:0]
    labels = artifacts.images.loc[train_rows, "label"]
    for name in artifacts.class_names:
        kept = kept.union(labels.index[labels == name][:2])
    artifacts.splits.loc[train_rows.difference(kept), "split"] = "left_out"
    made, notes = artifacts.run_stage(train, tmp_path, Config(**QUICK))
    assert sum("no early stop" in note for note in notes) == 1
    assert made["training"]["augmentation"]["flip"] is False
    assert made["training"]["temperature"] == 1.0
    assert made["training"]["overfitting_from"] is None


def test_the_champion_is_taken_unchanged(tmp_path: Path) -> None:
    made, _ = LearningArtifacts().run_stage(train, tmp_path / "first", Config(**QUICK))
    folder = _write_champion(tmp_path / "home", made["model"])
    taken, notes = LearningArtifacts().run_stage(
        train, tmp_path / "home", Config(**QUICK, model="champion")
    )
    assert notes == ["took the champion of run old as it is"]
    name = "model.safetensors"
    assert (taken["model"] / name).read_bytes() == (folder / name).read_bytes()
    assert taken["training"]["steps"] == 0
    assert taken["training"]["temperature"] == made["training"]["temperature"]
    assert len(taken["history"]) == 0


def test_labels_that_changed_since_the_champion_are_noted(tmp_path: Path) -> None:
    artifacts = LearningArtifacts()
    home = tmp_path / "home"
    made, _ = artifacts.run_stage(train, tmp_path / "first", Config(**QUICK))
    _write_champion(home, made["model"])
    champion_run = RunFolder.open_or_create(home / "old")
    (champion_run.path / "ingest").mkdir()
    images = artifacts.images.assign(path=artifacts.images["image_id"])
    images.to_parquet(champion_run.path / "ingest" / "images.parquet")
    before = str(images["label"].iloc[0])
    after = next(name for name in artifacts.class_names if name != before)
    artifacts.images = images
    artifacts.images.loc[0, "label"] = after
    _, notes = artifacts.run_stage(train, home, Config(**QUICK, model="champion"))
    assert len(notes) == 2
    example = f"{images['path'].iloc[0]}: {before}, now {after}"
    assert f"labels changed since the champion's run: 1, such as {example}" in notes


def test_a_model_is_trained_if_there_is_no_champion(tmp_path: Path) -> None:
    made, notes = LearningArtifacts().run_stage(train, tmp_path, Config(**QUICK, model="champion"))
    assert notes == ["there is no champion yet: a new model is trained"]
    assert made["training"]["steps"] > 0


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("classes", "new in the data: cat, dog; without an image now: lying, standing"),
        ("side", "ingest.side=32"),
        ("gone", "is gone"),
    ],
)
def test_a_champion_that_does_not_fit_is_refused_in_one_line(
    fault: str, message: str, tmp_path: Path
) -> None:
    made, _ = LearningArtifacts().run_stage(train, tmp_path / "first", Config(**QUICK))
    folder = _write_champion(tmp_path / "home", made["model"])
    artifacts = (
        LearningArtifacts(class_names=["cat", "dog"]) if fault == "classes" else LearningArtifacts()
    )
    if fault == "side":
        artifacts.pixels = np.repeat(np.repeat(artifacts.pixels, 2, axis=1), 2, axis=2)
    if fault == "gone":
        shutil.rmtree(folder)
    with pytest.raises(InputError, match=message) as caught:
        artifacts.run_stage(train, tmp_path / "home", Config(**QUICK, model="champion"))
    assert "\n" not in str(caught.value)


def test_the_fingerprint_follows_the_champion_and_the_weights(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run_path = home / "run"
    config = Config(**QUICK, model="champion")
    assert fingerprint_external_inputs(config, run_path, None) == ""
    made, _ = LearningArtifacts().run_stage(train, tmp_path / "first", Config(**QUICK))
    folder = _write_champion(home, made["model"])
    before = fingerprint_external_inputs(config, run_path, None)
    assert before
    assert fingerprint_external_inputs(Config(**QUICK), run_path, None) == ""
    (folder / "bundle.json").write_text(json.dumps({FORMAT_KEY: BUNDLE_FORMAT}))
    assert fingerprint_external_inputs(config, run_path, None) not in ("", before)
    assert fingerprint_external_inputs(config, run_path, before) == before, "that of its start"
    weights = tmp_path / "w.safetensors"
    fingerprints = set()
    for content in (b"one", b"two"):
        weights.write_bytes(content)
        config = Config(**QUICK | {"weights": str(weights)})
        fingerprints.add(fingerprint_external_inputs(config, run_path, None))
    assert len(fingerprints) == 2


def test_a_users_model_is_taken_unchanged(tmp_path: Path) -> None:
    artifacts = LearningArtifacts()
    made, _ = artifacts.run_stage(train, tmp_path / "first", Config(**QUICK))
    model, meta = load_model(made["model"])
    file = tmp_path / "mine.pth"
    torch.save({"state_dict": model.state_dict(), "classes": artifacts.class_names}, file)
    half = (0.5, 0.5, 0.5)
    config = Config(**QUICK, model=str(file), mean=half, std=half)
    taken, notes = artifacts.run_stage(train, tmp_path / "second", config)
    adopted, adopted_meta = load_model(taken["model"])
    logits = compute_logits(adopted, artifacts.pixels, adopted_meta)
    np.testing.assert_allclose(logits, compute_logits(model, artifacts.pixels, meta), atol=1e-6)
    assert (taken["training"]["steps"], len(taken["history"])) == (0, 0)
    assert len(notes) == 1
    before = fingerprint_external_inputs(config, tmp_path / "home", None)
    torch.save({"state_dict": model.state_dict()}, file)
    assert fingerprint_external_inputs(config, tmp_path / "home", None) not in ("", before)


@pytest.mark.parametrize(
    "setting", [{"class_order": ["a", "b"]}, {"mean": (0, 0, 0)}, {"std": (1, 1, 1)}]
)
def test_settings_of_a_users_model_need_its_file(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"set train\.model to its file"):
        Config(**setting)
    assert Config(**setting, model="mine.pth").user_model_file == Path("mine.pth")
