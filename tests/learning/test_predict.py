import numpy as np
import torch

from pipeline.learning.backbone import build
from pipeline.learning.batches import Photos
from pipeline.learning.predict import features, features_and_layout, logits


def test_logits_do_not_depend_on_the_batches(photos: Photos) -> None:
    model, meta = build("test_efficientnet", "none", ["a", "b"], 32, 0.5)
    model.train()
    whole, parts = (logits(model, photos.pixels, meta, batch=b) for b in (96, 7))
    assert whole.shape == (96, 2)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole, parts, atol=1e-4)
    assert model.training, "the model's mode is given back"


def test_asking_changes_no_weight_and_no_statistic(photos: Photos) -> None:
    model, meta = build("test_efficientnet", "none", ["a", "b"], 32, 0.5)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    logits(model.train(), photos.pixels, meta)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_no_photo_is_no_answer() -> None:
    model, meta = build("test_efficientnet", "none", ["a", "b"], 32, 0.0)
    none = np.zeros((0, 32, 32, 3), np.uint8)
    assert logits(model, none, meta).shape == (0, 2)
    assert features(none).shape == (0, 1280)


def test_features_tell_photos_apart_and_are_the_same_twice(photos: Photos) -> None:
    found = features(photos.pixels[:6])
    assert found.shape == (6, 1280)
    assert found.dtype == np.float32
    assert np.array_equal(found, features(photos.pixels[:6]))
    assert np.linalg.norm(found[0] - found[1]) > 0.1


def test_the_layout_keeps_where_something_is() -> None:
    photo = np.full((2, 64, 64, 3), 90, np.uint8)
    photo[0, 4:20, 4:20], photo[1, 44:60, 44:60] = 220, 220
    pooled, layout = features_and_layout(photo)
    assert layout.shape == (2, 1792)
    assert np.array_equal(pooled, features(photo))
    grid = layout.astype(np.float32).reshape(2, 112, 4, 4)
    change = np.abs(grid[0] - grid[1]).sum(0)
    assert change[0, 0] > 2 * change[0, 3]
    assert change[3, 3] > 2 * change[3, 0]
