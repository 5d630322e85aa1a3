"""A bundle with the profile of its data, and rows as `nightshift predict` writes them; seeded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.domain.rules import Condition, Rule
from pipeline.slices.tracking.reference_profile import REFERENCE_FILE, summarize_reference

DARK = Rule((Condition("luminance", "<=", 50),))
HOURS = (8.0, 17.0)


def images(
    units: int, rng: np.random.Generator, dark: float = 0.2, frames: int = 2
) -> pd.DataFrame:
    """Return images of visits: a share of the visits is dark (30 to 48), the others light."""
    night = rng.random(units) < dark
    light = np.where(night, rng.uniform(30, 48, units), rng.uniform(90, 200, units))
    hour = rng.uniform(*HOURS, units)
    each = np.repeat(np.arange(units), frames)
    table = pd.DataFrame(
        {"unit": each, "luminance": light[each] + rng.uniform(-1, 1, len(each)), "hour": hour[each]}
    )
    return table.assign(
        sharpness=rng.normal(2, 0.3, len(each)), unsure=night[each] & (rng.random(len(each)) < 0.6)
    )


def bundle(folder: Path, units: int = 400, seed: int = 0, day: bool = False) -> Path:
    """Return the folder of a bundle with the profile of some visits, half of them of validation.

    Dark images are mostly declined. With `day` no training image is dark.
    """
    rng = np.random.default_rng(seed)
    train, val = images(units // 2, rng, 0.0 if day else 0.2), images(units // 2, rng)
    table = pd.concat([train, val.assign(unit=val["unit"] + units)], ignore_index=True)
    declined = table.pop("unsure").astype(float).where(table["unit"] >= units)
    inside = DARK.compute_image_mask(table)
    kept, about = summarize_reference(
        table.assign(unit=table["unit"].astype(str), **{"slice s1": inside}), "groups", declined, 0
    )
    folder.mkdir(parents=True, exist_ok=True)
    kept.to_parquet(folder / REFERENCE_FILE, index=False)
    slices = [
        {
            "slice": "s1",
            "words": "Too dark: 3 of 9 images are misclassified.",
            "rule": DARK.dump_json(),
        }
    ]
    meta: dict[str, Any] = {
        "bundle_format": 2,
        "classes": ["badge", "none"],
        "run_id": "run1",
        "reference": about,
        "slices": slices,
    }
    (folder / "bundle.json").write_text(json.dumps(meta))
    return folder


def rows(units: int = 40, seed: int = 1, dark: float = 0.2, light: float = 1.0) -> pd.DataFrame:
    """Return rows of some visits, a share of them dark; `light` multiplies the luminance of all."""
    table = images(units, np.random.default_rng(seed), dark)
    table["luminance"] *= light
    inside = DARK.compute_image_mask(table)
    sure = np.where(table["unsure"], 0.55, 0.97) - np.arange(len(table)) * 1e-5
    return pd.DataFrame(
        {
            "path": [f"in/{k:04d}.jpg" for k in range(len(table))],
            "predicted": "badge",
            "probability": sure,
            "decision": np.where(table["unsure"], "decline", "answer"),
            "slices": np.where(inside, "s1", ""),
            "group": "v" + table["unit"].astype(str),
            "captured_at": "2026-03-01T12:00:00",
            "model": "run1",
            "luminance": table["luminance"],
            "hour": table["hour"],
            "sharpness": table["sharpness"],
        }
    )
