"""Interventions answered by a model: pipeline/slices/causes/model_interventions.py."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import build_network, load_model, save_model
from pipeline.slices.causes.model_interventions import build_intervention_tools
from tests.learning.drawn import draw_images


@pytest.mark.parametrize("has_features", [True, False])
def test_treated_images_are_measured_and_predicted_by_the_model(
    tmp_path: Path, has_features: bool
) -> None:
    model, meta = build_network("test_efficientnet", "none", ["lying", "standing"], 32, 0.0)
    folder = save_model(tmp_path, model, meta)
    pixels = draw_images(12).pixels
    tools = build_intervention_tools(pixels, folder, has_features=has_features)
    dark = tools.apply_remedy("exposure", pixels, 0.25, 0.25, 0)
    assert dark.shape == pixels.shape
    assert dark.mean() < pixels.mean()
    assert tools.predict_labels is not None
    expected = compute_logits(*load_model(folder)[:1], dark, load_model(folder)[1]).argmax(1)
    assert tools.predict_labels(dark).tolist() == expected.tolist()
    described = tools.describe_images(dark)
    attribute_count = tools.measure_attributes(dark).shape[1]
    assert (described.shape[1] > attribute_count) is has_features
    assert np.isfinite(described).all()
