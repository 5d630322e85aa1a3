"""The candidates of the comparison: pipeline/slices/comparison/candidate_training.py."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import StageContext
from pipeline.learning.models.backbone import build_network, save_model
from pipeline.learning.training.arm_training import ArmTrainer, TrainingArm
from pipeline.learning.training.targeted_treatment import TargetedTreatment
from pipeline.learning.training_settings import FitSettings
from pipeline.slices.candidates.cross_fitting import assign_halves
from pipeline.slices.comparison.candidate_training import CandidateTraining
from pipeline.slices.prescription.real_images import RealImages, RepeatedImages
from pipeline.slices.tracking.slice_matching import hash_groups
from tests.helpers.validation_sets import make_validation_set
from tests.learning.drawn import draw_images

CLASS_NAMES = ["lying", "standing"]
TRAINING_COUNT, VAL_COUNT = 24, 40


@pytest.fixture
def candidates(tmp_path: Path) -> CandidateTraining:
    """Return a training on 24 images whose validation images are 40 others."""
    images = draw_images(TRAINING_COUNT + VAL_COUNT)
    model, meta = build_network("test_efficientnet", "none", CLASS_NAMES, 32, 0.0, seed=0)
    folder = save_model(tmp_path / "model", model, meta)
    rows = TRAINING_COUNT + np.arange(VAL_COUNT)
    labels = images.labels[rows]
    groups = np.arange(VAL_COUNT) // 2
    frame = pd.DataFrame(
        {
            "image_id": [f"i{row}" for row in rows],
            "label": np.array(CLASS_NAMES)[labels],
            "group": [f"g{group}" for group in groups],
        }
    )
    val = make_validation_set(frame, labels, labels, CLASS_NAMES, image_rows=rows, folds=groups % 5)
    halves = assign_halves(val.folds)
    seen = [np.flatnonzero((halves == half) & (groups < 10)) for half in (0, 1)]
    drawn = [RepeatedImages(positions, np.full(len(positions), 2)) for positions in seen]
    settings = FitSettings(recipe="bare", batch_size=8, epochs=1)
    context = StageContext("run", 0, tmp_path, tmp_path)
    trainer = ArmTrainer(settings, TRAINING_COUNT, folder, tmp_path / "fits", context)
    return CandidateTraining(
        trainer,
        range(2),
        val,
        {"s1": groups < 10},
        RealImages((drawn[0], drawn[1]), (drawn[1], drawn[0]), ({"s1": seen[0]}, {"s1": seen[1]})),
        images.pixels,
        images.select_images(slice(0, 0)),
        tmp_path / "out",
    )


def _list_arms() -> list[TrainingArm]:
    images = draw_images(TRAINING_COUNT + VAL_COUNT).select_images(slice(0, TRAINING_COUNT))
    return [TrainingArm("control", None, images), TrainingArm("targeted", None, images)]


def test_a_training_lends_tones_from_its_own_half_only(candidates: CandidateTraining) -> None:
    treatment = TargetedTreatment({}, (), lambda *arguments: arguments[1], None)
    images = _list_arms()[0].images
    halves = assign_halves(candidates.val.folds)
    seeds = candidates.train_seed(TrainingArm("targeted", treatment, images), 0)
    for half, fit in enumerate(seeds.fits):
        assert isinstance(fit.treatment, TargetedTreatment)
        rows = candidates.val.image_rows[(halves == half) & (candidates.planned_members["s1"])]
        np.testing.assert_array_equal(fit.treatment.tone_images["s1"], candidates.pixels[rows])


def test_arms_are_averaged_and_what_they_saw_is_recorded(candidates: CandidateTraining) -> None:
    entries = candidates.train_arms(_list_arms(), has_treatment_step=False)
    assert [(entry["arm"], entry["seed"]) for entry in entries] == [
        ("control", None),
        ("control", 0),
        ("control", 1),
        ("targeted", None),
        ("targeted", 0),
        ("targeted", 1),
    ]
    folder = candidates.output_folder
    for entry in entries:
        assert all((folder / file).is_file() for file in (entry["file"], *entry["unseen"]))
    record = json.loads((folder / "real_images.json").read_text())
    assert record["groups"] == sorted(hash_groups([f"g{group}" for group in range(10)]))
    assert [half["shown"] for half in record["halves"]] == [24, 16]
    ladder = json.loads((folder / "ladder.json").read_text())
    assert [row["step"] for row in ladder] == ["real images", "average", "interpolation"]


def test_targeted_and_other_arms_see_their_own_validation_images(
    candidates: CandidateTraining,
) -> None:
    entries = candidates.train_arms(_list_arms(), has_treatment_step=False)
    rows = {entry["arm"]: entry["rows"] for entry in entries if entry["seed"] == 0}
    assert rows == {"control": TRAINING_COUNT + 24, "targeted": TRAINING_COUNT + 24}
    passes = {entry["passes"] for entry in entries if entry["seed"] is not None}
    assert passes == {2 * TRAINING_COUNT}


def test_a_gain_counts_in_a_planned_slice_with_its_classes_alike(
    candidates: CandidateTraining,
) -> None:
    labels = candidates.val.labels
    inside = candidates.planned_members["s1"]
    lying, standing = (np.flatnonzero(inside & (labels == index)) for index in (0, 1))
    wrong = np.concatenate([lying[:1], np.flatnonzero(~inside)])
    predictions = labels.copy()
    predictions[wrong] = 1 - labels[wrong]
    weak = replace(candidates, val=replace(candidates.val, predictions=predictions))
    before = (predictions == labels).astype(np.float64)
    assert not weak.can_pass_validation(before)
    assert not weak.can_pass_validation(np.where(inside, before, 1.0)), "outside of the slice"
    assert weak.can_pass_validation(np.ones(len(labels)))
    harmed = np.ones(len(labels))
    harmed[standing] = 0.0
    assert not weak.can_pass_validation(harmed)


def test_the_generic_arm_is_left_out_where_validation_must_refuse(
    candidates: CandidateTraining,
) -> None:
    labels = candidates.val.labels
    arms = [*_list_arms(), replace(_list_arms()[0], name="generic")]
    trained = []
    for predictions in (labels, 1 - labels):  # nothing left to gain; everything
        one = replace(candidates, val=replace(candidates.val, predictions=predictions))
        entries = one.train_arms(arms, has_treatment_step=False)
        trained.append({entry["arm"] for entry in entries})
    assert trained == [{"control", "targeted"}, {"control", "targeted", "generic"}]


def test_further_seeds_are_left_out_where_validation_can_hardly_pass(
    candidates: CandidateTraining,
) -> None:
    """Both arms are the same here, so that nothing is gained over the control arm."""
    staged = replace(
        candidates,
        seeds=range(4),
        val=replace(candidates.val, predictions=1 - candidates.val.labels),
    )
    arms = [*_list_arms(), replace(_list_arms()[0], name="generic")]
    entries = staged.train_arms(arms, has_treatment_step=True)
    seeds = [(entry["arm"], entry["seed"]) for entry in entries if entry["seed"] is not None]
    assert seeds == [("control", 0), ("control", 1), ("targeted", 0), ("targeted", 1)]
    record = json.loads((staged.output_folder / "seeds.json").read_text())
    assert (record["outcome"], record["trained"], record["planned"]) == ("futile", 2, 4)
    assert record["conditional_power"] < 0.1
    assert record["passes"] == 4 * 2 * TRAINING_COUNT, "two trainings of each of two seeds and arms"


def test_every_seed_is_trained_where_validation_may_pass(candidates: CandidateTraining) -> None:
    """The control arm learns wrong labels, so that the targeted arm gains over it."""
    control, targeted = _list_arms()
    wrong = replace(control.images, labels=1 - control.images.labels)
    settings = FitSettings(recipe="bare", batch_size=8, epochs=20, learning_rate=3e-3)
    staged = replace(
        candidates,
        trainer=replace(candidates.trainer, settings=settings),
        seeds=range(3),
        real_images=None,
        val=replace(candidates.val, predictions=1 - candidates.val.labels),
    )
    entries = staged.train_arms(
        [replace(control, images=wrong), targeted, replace(targeted, name="generic")],
        has_treatment_step=False,
    )
    seeds = [entry["arm"] for entry in entries if entry["seed"] is not None]
    assert seeds == ["control"] * 3 + ["targeted"] * 3 + ["generic"] * 3
    record = json.loads((staged.output_folder / "seeds.json").read_text())
    assert (record["outcome"], record["trained"]) == ("complete", 3)
    assert record["conditional_power"] > 0.1
