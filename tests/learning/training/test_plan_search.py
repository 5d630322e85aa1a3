from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.contracts import StageContext
from pipeline.learning.models.backbone import build_network, save_model
from pipeline.learning.training.holdout_split import select_training_images
from pipeline.learning.training.plan_search import PlanTrial, evaluate_plans
from pipeline.remedies import apply_remedy
from tests.learning.drawn import LearningArtifacts

PLAN_COLUMNS = ["image_id", "slice", "remedy", "strength_low", "strength_high", "probability"]


def _create_context(scratch_folder: Path) -> StageContext:
    scratch_folder.mkdir(exist_ok=True)
    return StageContext("run", 0, scratch_folder, scratch_folder.parent)


def test_plans_are_compared_from_the_same_start(tmp_path: Path) -> None:
    artifacts = LearningArtifacts()
    side = artifacts.pixels.shape[1]
    model, meta = build_network("test_efficientnet", "none", artifacts.class_names, side, 0.0)
    model_folder = save_model(tmp_path / "model", model, meta)
    weights_before = (model_folder / "model.safetensors").read_bytes()
    training_images = select_training_images(
        artifacts.images, artifacts.splits, artifacts.pixels, artifacts.class_names
    )
    trial = PlanTrial(
        model_folder,
        artifacts.images,
        training_images,
        artifacts.pixels[:60],
        image_passes=96,
        learning_rate=0.02,
        augmentation={"recipe": "bare"},
        apply_remedy=apply_remedy,
    )
    image_ids = artifacts.images["image_id"].to_numpy()[training_images.image_rows]
    plan_rows = [(image_id, "s1", "exposure", 0.05, 0.05, 1.0) for image_id in image_ids]
    plan = pd.DataFrame(plan_rows, columns=PLAN_COLUMNS).assign(simulator=None, tone_share=0.0)
    empty_plan = plan.iloc[:0]
    predictions = evaluate_plans(trial, [empty_plan, plan], _create_context(tmp_path / "first"))
    assert predictions.shape == (2, 60)
    assert set(np.unique(predictions)) <= set(range(len(artifacts.class_names)))
    assert (predictions[0] != predictions[1]).any(), "black images teach nothing"
    assert (model_folder / "model.safetensors").read_bytes() == weights_before
    repeated = evaluate_plans(trial, [empty_plan], _create_context(tmp_path / "second"))
    np.testing.assert_array_equal(repeated[0], predictions[0])
