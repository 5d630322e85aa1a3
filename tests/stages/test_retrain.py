"""Training the arms that the gate compares: pipeline/stages/retrain.py."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

from pipeline.contracts import InputError
from pipeline.domain.rules import Condition, Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.inference.temperature_scaling import fit_temperature
from pipeline.learning.models.backbone import load_model
from pipeline.learning.training.holdout_split import select_training_images, split_holdout
from pipeline.slices.tracking.slice_matching import hash_groups
from pipeline.stages import retrain, train
from pipeline.stages.retrain import Config
from tests.helpers.gate_artifacts import make_explanation
from tests.helpers.validation_sets import make_validation_set
from tests.learning.drawn import LearningArtifacts

BASE: dict[str, Any] = {
    "batch_size": 8,
    "epochs": 2,
    "seeds": 1,
    "generic": False,
    "real_repeats": 0,
}
PLAN_DTYPES: dict[str, Any] = {
    "image_id": "str",
    "slice": "str",
    "remedy": "str",
    "strength_low": "float64",
    "strength_high": "float64",
    "probability": "float64",
    "tone_share": "float64",
    "simulator": "str",
}
SIMULATED_DTYPES: dict[str, Any] = {
    "content_hash": "str",
    "slice": "str",
    "label": "str",
    "simulator": "str",
    "condition": "str",
    "strength": "float64",
}


def _make_plan(ids: Iterable[str], *recipe: str | float) -> pd.DataFrame:
    """Return a plan; `recipe`: remedy, lowest and highest strength, probability."""
    rows = [(image_id, "s0", *recipe, 0.0, None) for image_id in ids]
    return pd.DataFrame(rows, columns=list(PLAN_DTYPES)).astype(PLAN_DTYPES)


def _list_training_ids(artifacts: LearningArtifacts) -> list[str]:
    return list(artifacts.images["image_id"][(artifacts.splits["split"] == "train").to_numpy()])


@pytest.fixture
def artifacts(tmp_path: Path) -> LearningArtifacts:
    """Return a trained small network, and a plan that darkens most training images."""
    artifacts = LearningArtifacts()
    config = train.Config(
        backbone="test_efficientnet", weights="none", batch_size=8, learning_rate=4e-3, epochs=3
    )
    artifacts.run_stage(train, tmp_path, config)
    artifacts.outputs["plan"] = _make_plan(_list_training_ids(artifacts), "exposure", 0.2, 0.4, 0.7)
    artifacts.outputs["simulated"] = pd.DataFrame(columns=list(SIMULATED_DTYPES)).astype(
        SIMULATED_DTYPES
    )
    artifacts.outputs["simulated_pixels"] = np.zeros((0, 32, 32, 3), np.uint8)
    artifacts.outputs["validation_set"] = _build_validation_set(artifacts)
    ids = artifacts.outputs["validation_set"].image_ids[:8]
    artifacts.outputs["membership"] = pd.DataFrame(
        {"image_id": ids, "slice": "s0", "fold": 0, "score": 1.0}
    )
    rule = Rule((Condition("tone", "<=", 0.5),))
    row = make_explanation("s0", "confirmed") | {"frozen": rule.dump_json()}
    artifacts.outputs["explanations"] = pd.DataFrame([row])
    return artifacts


def _build_validation_set(artifacts: LearningArtifacts) -> ValidationSet:
    """Return the validation images, as the trained network predicts them."""
    is_val = (artifacts.splits["split"] == "val").to_numpy()
    rows = np.flatnonzero(is_val)
    network, meta = load_model(artifacts.outputs["model"])
    predictions = compute_logits(network, artifacts.pixels[rows], meta).argmax(1)
    images = artifacts.images[is_val].reset_index(drop=True)
    images["tone"] = np.arange(len(images)) // 2 % 2
    labels = pd.Index(artifacts.class_names).get_indexer(pd.Index(images["label"]))
    folds = artifacts.splits["fold"].to_numpy()[rows]
    names = artifacts.class_names
    return make_validation_set(images, labels, predictions, names, image_rows=rows, folds=folds)


def _read_entries(made: dict[str, Any]) -> list[dict[str, Any]]:
    return list(json.loads((made["candidates"] / "candidates.json").read_text()))


def _have_equal_weights(folder: Path, one: str, other: str) -> bool:
    first = load_file(folder / one)
    second = load_file(folder / other)
    return all(np.array_equal(first[name], second[name]) for name in first)


def test_every_arm_is_trained_with_every_seed_on_one_budget(
    artifacts: LearningArtifacts, tmp_path: Path
) -> None:
    val = artifacts.outputs["validation_set"]
    wrong = (val.labels + 1) % len(val.class_names)
    artifacts.outputs["validation_set"] = replace(val, predictions=wrong)
    made, notes = artifacts.run_stage(
        retrain, tmp_path, Config(**BASE | {"seeds": 2, "generic": True})
    )
    entries = _read_entries(made)
    assert notes == []
    arms = ("control", "targeted", "generic")
    expected = [(arm, seed) for arm in arms for seed in (None, 1000, 1001)]
    assert [(entry["arm"], entry["seed"]) for entry in entries] == expected
    trained = [entry for entry in entries if entry["seed"] is not None]
    assert len({entry["passes"] for entry in trained}) == 1
    assert len({entry["rows"] for entry in trained}) == 1
    for one, other in combinations([entry["file"] for entry in entries], 2):
        assert not _have_equal_weights(made["candidates"], one, other)


def test_the_generic_arm_is_left_out_with_a_note_if_nothing_can_be_gained(
    artifacts: LearningArtifacts, tmp_path: Path
) -> None:
    val = artifacts.outputs["validation_set"]
    artifacts.outputs["validation_set"] = replace(val, predictions=val.labels)
    made, notes = artifacts.run_stage(retrain, tmp_path, Config(**BASE | {"generic": True}))
    assert {entry["arm"] for entry in _read_entries(made)} == {"control", "targeted"}
    assert len(notes) == 1


@pytest.mark.parametrize(("is_allowed", "expected"), [(True, [True, False]), (False, [False] * 2)])
def test_a_run_with_another_plan_takes_the_control_arm_of_the_run_before(
    artifacts: LearningArtifacts, tmp_path: Path, is_allowed: bool, expected: list[bool]
) -> None:
    first, _ = artifacts.run_stage(retrain, tmp_path, Config(**BASE))
    ids = _list_training_ids(artifacts)
    artifacts.outputs["plan"] = _make_plan(ids, "exposure", 0.1, 0.2, 0.7)
    config = Config(**BASE | {"reuse_arms": is_allowed})
    second, notes = artifacts.run_stage(retrain, tmp_path, config, run_id="second")
    assert [entry["reused"] > 0 for entry in _read_entries(second)] == expected
    assert len(notes) == is_allowed
    first_file, second_file = (
        load_file(made["candidates"] / "control-1000.safetensors") for made in (first, second)
    )
    assert all(np.array_equal(first_file[name], second_file[name]) for name in first_file)


def test_without_an_effective_treatment_the_targeted_arm_is_the_control_arm(
    artifacts: LearningArtifacts, tmp_path: Path
) -> None:
    artifacts.outputs["plan"] = _make_plan(_list_training_ids(artifacts), "exposure", 1.0, 1.0, 0.7)
    made, _ = artifacts.run_stage(retrain, tmp_path, Config(**BASE))
    files = [entry["file"] for entry in _read_entries(made)]
    assert _have_equal_weights(made["candidates"], *files)


def test_the_holdout_stays_unseen_and_sets_each_temperature(
    artifacts: LearningArtifacts, tmp_path: Path
) -> None:
    made, _ = artifacts.run_stage(retrain, tmp_path, Config(**BASE))
    entries = _read_entries(made)
    holdout = artifacts.outputs["training"]["holdout"]
    labeled = int((artifacts.splits["split"] == "train").sum())
    assert holdout["images"] > 0
    images = select_training_images(
        artifacts.images, artifacts.splits, artifacts.pixels, artifacts.class_names
    )
    groups = artifacts.images["group"].to_numpy(dtype=str)[images.image_rows]
    _, held_out = split_holdout(images, groups, holdout["share"], holdout["seed"])
    assert len(held_out) == holdout["images"]
    for entry in entries:
        assert entry["rows"] == labeled - holdout["images"]
        assert np.isfinite(entry["loss"])
        model, meta = load_model(made["candidates"], weights_file=entry["file"])
        assert meta["classes"] == artifacts.class_names
        logits = compute_logits(model, held_out.load_pixels(), meta)
        assert entry["temperature"] == pytest.approx(fit_temperature(logits, held_out.labels))


def test_an_empty_plan_makes_no_candidate(artifacts: LearningArtifacts, tmp_path: Path) -> None:
    artifacts.outputs["plan"] = _make_plan([])
    made, notes = artifacts.run_stage(retrain, tmp_path, Config(**BASE))
    assert _read_entries(made) == []
    assert notes == ["no remedy was prescribed for training images: nothing is retrained"]


def test_killed_in_the_second_arm_it_resumes_to_the_same_bytes(
    artifacts: LearningArtifacts, tmp_path: Path
) -> None:
    whole, _ = artifacts.run_stage(retrain, tmp_path / "a", Config(**BASE))
    units: list[str] = []

    def stop_in_second_arm(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        units.append(unit)
        for number, item in enumerate(items):
            trainings = sum(name.startswith("steps") for name in units)
            if trainings == 2 and number == 9:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        artifacts.run_stage(retrain, tmp_path / "b", Config(**BASE), stop_in_second_arm)
    resumed, _ = artifacts.run_stage(retrain, tmp_path / "b", Config(**BASE))
    for entry in _read_entries(whole):
        one = whole["candidates"] / entry["file"]
        other = resumed["candidates"] / entry["file"]
        assert one.read_bytes() == other.read_bytes()
    assert _read_entries(whole) == _read_entries(resumed)


def test_the_targeted_arm_is_trained_on_simulated_images(
    artifacts: LearningArtifacts, tmp_path: Path
) -> None:
    treated, _ = artifacts.run_stage(retrain, tmp_path / "a", Config(**BASE))
    plan = artifacts.outputs["plan"]
    artifacts.outputs["plan"] = plan.assign(simulator=pd.array(["gate"] * len(plan), dtype="str"))
    rows = [
        (f"h{k}", "s0", name, "gate", "exposure", 0.3)
        for k, name in enumerate(artifacts.class_names)
    ]
    simulated = pd.DataFrame(rows, columns=list(SIMULATED_DTYPES))
    artifacts.outputs["simulated"] = simulated.astype(SIMULATED_DTYPES)
    artifacts.outputs["simulated_pixels"] = np.random.default_rng(0).integers(
        0, 90, (2, 32, 32, 3), dtype=np.uint8
    )
    replaced, _ = artifacts.run_stage(retrain, tmp_path / "b", Config(**BASE))
    is_equal = {}
    for file in ("control-1000.safetensors", "targeted-1000.safetensors"):
        one = treated["candidates"] / file
        other = replaced["candidates"] / file
        is_equal[file.partition("-")[0]] = one.read_bytes() == other.read_bytes()
    assert is_equal == {"control": True, "targeted": False}
    budgets = [[entry["rows"] for entry in _read_entries(made)] for made in (treated, replaced)]
    assert budgets[0] == budgets[1]


class _SmallNetwork(nn.Module):
    """A user's own network, with or without trainable weights."""

    def __init__(self, is_trainable: bool) -> None:
        super().__init__()
        self.head = nn.Linear(8, 2).requires_grad_(is_trainable)
        self.maps = nn.Conv2d(3, 8, 3).requires_grad_(is_trainable)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.head(self.maps(images).relu().mean((2, 3)))
        return out


def _take_program(artifacts: LearningArtifacts, tmp_path: Path, *, is_trainable: bool) -> Path:
    """Run `train` with a program as the user's model, and return the model's folder."""
    example = (torch.rand(2, 3, 32, 32),)
    shapes = ({0: torch.export.Dim("n")},)
    network = _SmallNetwork(is_trainable).eval()
    program = torch.export.export(network, example, dynamic_shapes=shapes)
    file = tmp_path / "mine.pt2"
    torch.export.save(program, file)
    half = (0.5, 0.5, 0.5)
    made, _ = artifacts.run_stage(
        train, tmp_path, train.Config(model=str(file), mean=half, std=half)
    )
    return Path(made["model"])


def test_a_program_without_trainable_weights_is_not_retrained(
    artifacts: LearningArtifacts, tmp_path: Path
) -> None:
    _take_program(artifacts, tmp_path, is_trainable=False)
    made, notes = artifacts.run_stage(retrain, tmp_path, Config(**BASE))
    assert _read_entries(made) == []
    assert len(notes) == 1
    assert "no trainable weights" in notes[0]


def test_a_program_is_retrained_as_a_whole(artifacts: LearningArtifacts, tmp_path: Path) -> None:
    folder = _take_program(artifacts, tmp_path, is_trainable=True)
    before, meta = load_model(folder)
    made, _ = artifacts.run_stage(retrain, tmp_path, Config(**BASE))
    entries = _read_entries(made)
    assert [entry["arm"] for entry in entries] == ["control", "targeted"]
    models = [before]
    for entry in entries:
        file = (made["candidates"] / entry["file"]).resolve()
        models.append(load_model(folder, str(file))[0])
    logits = [compute_logits(model, artifacts.pixels[:4], meta) for model in models]
    for one, other in combinations(logits, 2):
        assert np.abs(one - other).max() > 1e-4
    artifacts.outputs["plan"] = _make_plan(
        _list_training_ids(artifacts)[:4], "reweighting", 5.0, 5.0, 1.0
    )
    made, _ = artifacts.run_stage(retrain, tmp_path / "weights", Config(**BASE))
    reweighted = _read_entries(made)
    passes = [entry["passes"] for entry in entries]
    assert [entry["passes"] for entry in reweighted] == passes, "a program has no head to train"
    with pytest.raises(InputError, match="head_only"):
        artifacts.run_stage(retrain, tmp_path / "head", Config(**BASE, head_only=True))


def test_each_seed_is_trained_on_either_half_of_the_validation_images(
    artifacts: LearningArtifacts, tmp_path: Path
) -> None:
    made, _ = artifacts.run_stage(
        retrain, tmp_path, Config(**BASE | {"real_repeats": 2, "ladder": True})
    )
    entries = _read_entries(made)
    assert [(entry["arm"], entry["seed"]) for entry in entries] == [
        ("control", 1000),
        ("targeted", 1000),
    ]
    plain, _ = artifacts.run_stage(retrain, tmp_path / "plain", Config(**BASE))
    for entry, without in zip(entries, _read_entries(plain), strict=True):
        assert len({entry["file"], *entry["unseen"]}) == 3
        assert entry["passes"] == 2 * without["passes"]
        assert entry["rows"] > without["rows"]
    record = json.loads((made["candidates"] / "real_images.json").read_text())
    val = artifacts.outputs["validation_set"]
    assert sum(half["judged_by"] for half in record["halves"]) == val.image_count
    assert set(record["groups"]) <= set(hash_groups(val.groups))
    ladder = json.loads((made["candidates"] / "ladder.json").read_text())
    steps = [row["step"] for row in ladder]
    assert steps == ["treatment", "real images", "interpolation"]
