import numpy as np
import pytest
import torch

from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.inference.model_outputs import (
    compute_logits,
    extract_features,
    extract_features_and_layout,
    fit_batch_size,
)
from pipeline.learning.models.backbone import build_network


def test_logits_do_not_depend_on_the_batches(images: TrainingImages) -> None:
    model, meta = build_network("test_efficientnet", "none", ["a", "b"], 32, 0.5)
    model.train()
    whole = compute_logits(model, images.pixels, meta, batch_size=96)
    parts = compute_logits(model, images.pixels, meta, batch_size=7)
    assert whole.shape == (96, 2)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole, parts, atol=1e-4)
    assert model.training, "the model's mode is restored"


def test_asking_changes_no_weight_and_no_statistic(images: TrainingImages) -> None:
    model, meta = build_network("test_efficientnet", "none", ["a", "b"], 32, 0.5)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    compute_logits(model.train(), images.pixels, meta)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_no_image_gives_no_output() -> None:
    model, meta = build_network("test_efficientnet", "none", ["a", "b"], 32, 0.0)
    none = np.zeros((0, 32, 32, 3), np.uint8)
    assert compute_logits(model, none, meta).shape == (0, 2)
    assert extract_features(none).shape == (0, 1280)


def test_features_tell_images_apart_and_are_the_same_twice(images: TrainingImages) -> None:
    features = extract_features(images.pixels[:6])
    assert features.shape == (6, 1280)
    assert features.dtype == np.float32
    assert np.array_equal(features, extract_features(images.pixels[:6]))
    assert np.linalg.norm(features[0] - features[1]) > 0.1


def test_the_layout_keeps_where_something_is() -> None:
    image = np.full((2, 64, 64, 3), 90, np.uint8)
    image[0, 4:20, 4:20], image[1, 44:60, 44:60] = 220, 220
    pooled, layout = extract_features_and_layout(image)
    assert layout.shape == (2, 1792)
    assert np.array_equal(pooled, extract_features(image))
    grid = layout.astype(np.float32).reshape(2, 112, 4, 4)
    change = np.abs(grid[0] - grid[1]).sum(0)
    assert change[0, 0] > 2 * change[0, 3]
    assert change[3, 3] > 2 * change[3, 0]


@pytest.mark.parametrize(("side", "batch_size"), [(64, 64), (256, 64), (512, 16), (4096, 1)])
def test_large_images_come_in_smaller_batches(side: int, batch_size: int) -> None:
    pixels = np.broadcast_to(np.zeros(1, np.uint8), (2, side, side, 3))
    assert fit_batch_size(pixels, 64) == batch_size
    assert fit_batch_size(pixels[:0], 64) == 64
    assert fit_batch_size(np.zeros((2, 1280), np.float32), 64) == 64
