"""The artifacts that a report needs, each with its type."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.validation_set import ValidationSet


class ReportArtifacts(TypedDict):
    """The needs of the stage `report`, by name. `pipeline.graph` describes them."""

    images: pd.DataFrame
    rejected: pd.DataFrame
    pixels: NDArray[np.uint8]
    classes: dict[str, Any]
    attributes: pd.DataFrame
    splits: pd.DataFrame
    duplicates: pd.DataFrame
    history: pd.DataFrame
    training: dict[str, Any]
    predictions: pd.DataFrame
    embeddings: NDArray[np.float32]
    metrics: dict[str, Any]
    label_issues: pd.DataFrame
    validation_set: ValidationSet
    dose_response: pd.DataFrame
    shortcuts: pd.DataFrame
    membership: pd.DataFrame
    explanations: pd.DataFrame
    causes: pd.DataFrame
    class_slices: pd.DataFrame
    plan: pd.DataFrame
    simulated: pd.DataFrame
    simulated_pixels: NDArray[np.uint8]
    policy: dict[str, Any]
    comparison: dict[str, Any]
    flips: pd.DataFrame
    answers: NDArray[np.float32]
    saliency: NDArray[np.uint8]
    verdict: dict[str, Any]
    drift: dict[str, Any]
    followed: dict[str, Any]
