"""Short fine-tunes of several plans: one start, one order, one budget, and nothing left behind but answers."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.contracts import StageContext
from pipeline.learning.models.backbone import build_network, save_model
from pipeline.learning.training.holdout_split import select_training_images
from pipeline.learning.training.plan_search import PlanTrial, evaluate_plans
from pipeline.remedies import apply_remedy
from tests.learning.drawn import World

COLUMNS = ["image_id", "slice", "remedy", "strength_low", "strength_high", "probability"]


def test_each_plan_is_trained_from_the_same_start_and_the_empty_one_twice_alike(
    tmp_path: Path,
) -> None:
    world = World()
    model, meta = build_network(
        "test_efficientnet", "none", world.names, world.pixels.shape[1], 0.0
    )
    folder = save_model(tmp_path / "model", model, meta)
    before = (folder / "model.safetensors").read_bytes()
    images = select_training_images(world.images, world.splits, world.pixels, world.names)
    course = PlanTrial(folder, world.images, images, world.pixels[:60], 96, 0.02, apply_remedy)
    ids = world.images["image_id"].to_numpy()[images.image_rows]
    plan = pd.DataFrame(
        [(i, "s1", "exposure", 0.05, 0.05, 1.0) for i in ids], columns=COLUMNS
    ).assign(simulator=None)
    context = StageContext("r", 0, tmp_path, tmp_path)
    said = evaluate_plans(course, [plan.iloc[:0], plan], context)
    assert said.shape == (2, 60)
    assert set(np.unique(said)) <= set(range(len(world.names)))
    assert (folder / "model.safetensors").read_bytes() == before
    other = StageContext("r", 0, tmp_path / "again", tmp_path)
    (tmp_path / "again").mkdir()
    np.testing.assert_array_equal(evaluate_plans(course, [plan.iloc[:0]], other)[0], said[0])
