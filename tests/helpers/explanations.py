"""Columns of `explanations` from which the sentences about a slice are composed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pipeline.domain.statuses import CauseConfidence

EXPOSURE = json.dumps([{"remedy": "exposure", "strength": 0.25}])


def make_text_columns(named_causes: str = "[]", **columns: Any) -> dict[str, Any]:
    """Return the columns of a slice whose failures share only their rule; `columns` replace them.

    Args:
        named_causes: JSON, such as `EXPOSURE`.
        columns: further columns of `explanations`.
    """
    confidence = (
        CauseConfidence.UNNAMED if named_causes == "[]" else CauseConfidence.INVERSE_CONFIRMED
    )
    neutral = {
        "named_causes": named_causes,
        "confidence": confidence,
        "setting": "[]",
        "setting_failures": 0,
        "confused_label": None,
        "confused_prediction": None,
        "repair_strength": np.nan,
        "repair_share": np.nan,
        "shared_traits": "[]",
    }
    return neutral | columns
