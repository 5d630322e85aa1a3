"""Interventions on images of the data set, answered by the trained model.

Apart from `repair_test`, so that stages without interventions do not follow the code of remedies.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import measure_images
from pipeline.learning.inference.model_outputs import compute_logits, extract_features
from pipeline.learning.inference.normalization_folding import load_folded_model
from pipeline.remedies import apply_remedy
from pipeline.slices.causes.repair_test import InterventionTools


def build_intervention_tools(
    pixels: NDArray[np.uint8], model: Path, *, has_features: bool
) -> InterventionTools:
    """Return the remedies, attributes and predictions that interventions need.

    Args:
        pixels: the artifact of that name, uint8 [images, side, side, 3].
        model: folder of the model.
        has_features: whether images are compared by frozen features besides their attributes.
    """
    network, meta = load_folded_model(model)
    return InterventionTools(
        pixels,
        apply_remedy,
        lambda treated: measure_images(treated).to_numpy(dtype=float),
        lambda treated: np.asarray(compute_logits(network, treated, meta).argmax(1), dtype=np.intp),
        extract_features if has_features else None,
    )
