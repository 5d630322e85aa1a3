"""A validation set drawn from numbers: what fails, and which intervention repairs it, is planted."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from pipeline.domain.validation_set import ValidationSet
from tests.helpers.validation_sets import make_validation_set

Draw = Callable[..., "Planted"]


@dataclass(frozen=True)
class Planted:
    val: ValidationSet
    dark: np.ndarray  # bool [rows]: the planted slice


def draw_val(seed: int = 0, groups: int = 120, frames: int = 8, planted: bool = True) -> Planted:
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), frames)
    n = len(group)
    level = np.repeat(
        np.where(rng.random(groups) < 0.2, 25.0, 120.0) + rng.normal(0, 6, groups), frames
    )
    label = np.repeat(rng.integers(0, 3, groups), frames)
    frame = pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(n)],
            "label": np.array(["a", "b", "c"])[label],
            "group": [f"g{g}" for g in group],
            "luminance": level + rng.normal(0, 3, n),
            "sharpness": rng.normal(0, 1, n),
            "hour": (np.where(level < 60, 23.0, 12.0) + rng.normal(0, 2, n)) % 24,
            "camera": np.where(rng.random(n) < 0.5, "north", "south"),
        }
    )
    dark = frame["luminance"].to_numpy() < 60
    hard = np.repeat(rng.random(groups) < 0.08, frames) & (rng.random(n) < 0.7)
    errors = hard | (planted & dark & (rng.random(n) < 0.5))
    margin = np.where(errors, -1.0, 1.0) * rng.gamma(2, 1, n)
    repaired = errors & (rng.random(n) < np.where(dark & planted, 0.8, 0.1))
    after = np.column_stack(
        [
            np.where(errors, repaired, rng.random(n) > 0.02),
            np.where(errors, rng.random(n) < 0.1, True),
        ]
    )
    signatures = np.column_stack([repaired * 3.0, np.zeros(n)]).astype(np.float32) + rng.normal(
        0, 0.1, (n, 2)
    ).astype(np.float32)
    fold = (rng.permutation(groups) % 5)[group]
    guess = np.where(errors, (label + 1) % 3, label)
    val = make_validation_set(
        frame, label, guess, "abc", is_correct_after=after, folds=fold, margins=margin,
        signatures=signatures.astype(np.float32),
    )  # fmt: skip
    return Planted(val, dark)


@pytest.fixture(scope="session")
def draw() -> Draw:
    return draw_val
