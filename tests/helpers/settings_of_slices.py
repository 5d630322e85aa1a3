"""Failing images of one hour and one camera."""

from __future__ import annotations

import numpy as np
import pandas as pd


def draw_setting(hour: float, camera: str, n: int = 40) -> pd.DataFrame:
    """Return `n` images of one camera within two hours of `hour`."""
    return pd.DataFrame(
        {
            "image_id": range(n),
            "label": "a",
            "group": range(n),
            "hour": hour + np.linspace(-2, 2, n),
            "camera": camera,
        }
    )
