"""Short fine-tunes of several plans: one start, one order, one budget, and nothing left behind but answers."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.contracts import Context
from pipeline.learning.backbone import build, save_model
from pipeline.learning.holdout import training_photos
from pipeline.learning.search import Course, tried
from pipeline.remedies import treat
from tests.learning.drawn import World

COLUMNS = ["image_id", "slice", "remedy", "dose_low", "dose_high", "probability"]


def test_each_plan_is_trained_from_the_same_start_and_the_empty_one_twice_alike(tmp_path: Path) -> None:
    world = World()
    model, meta = build("test_efficientnet", "none", world.names, world.pixels.shape[1], 0.0)
    folder = save_model(tmp_path / "model", model, meta)
    before = (folder / "model.safetensors").read_bytes()
    photos = training_photos(world.images, world.splits, world.pixels, world.names)
    course = Course(folder, world.images, photos, world.pixels[:60], 96, 0.02, treat)
    ids = world.images["image_id"].to_numpy()[photos.rows]
    plan = pd.DataFrame([(i, "s1", "exposure", 0.05, 0.05, 1.0) for i in ids], columns=COLUMNS).assign(simulator=None)
    context = Context("r", 0, tmp_path, tmp_path)
    said = tried(course, [plan.iloc[:0], plan], context)
    assert said.shape == (2, 60)
    assert set(np.unique(said)) <= set(range(len(world.names)))
    assert (folder / "model.safetensors").read_bytes() == before
    other = Context("r", 0, tmp_path / "again", tmp_path)
    (tmp_path / "again").mkdir()
    np.testing.assert_array_equal(tried(course, [plan.iloc[:0]], other)[0], said[0])
