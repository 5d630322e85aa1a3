"""Proposes slices on each half of val, freezes each as a readable rule, and applies it to the other half."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.config import Settings
from pipeline.contracts import Context, Made
from pipeline.slicing.crossing import Knobs, Material, crossed, tables
from pipeline.slicing.rules import conditions_frame
from pipeline.slicing.validation import shares, validation


class Config(Settings):
    """Settings of the finder."""

    slices: int = Field(
        6, ge=1, le=50, description="most slices proposed from a half of val; each costs the others power"
    )
    clusters: int = Field(6, ge=2, description="clusters of repair signatures")
    prototypes: int = Field(6, ge=0, description="failing photos around which look-alikes are tried")
    least: int = Field(20, ge=5, description="fewest photos in a proposed slice")
    same: float = Field(0.5, gt=0, le=1, description="overlap from which rules of both halves are one slice")


def run(
    config: Config,
    context: Context,
    *,
    images: pd.DataFrame,
    attributes: pd.DataFrame,
    splits: pd.DataFrame,
    classes: dict[str, list[str]],
    predictions: pd.DataFrame,
    metrics: dict[str, Any],
    embeddings: NDArray[np.float32],
    label_issues: pd.DataFrame,
    probed: pd.DataFrame,
    signatures: NDArray[np.float32],
    responses: NDArray[np.int16],
    dose_response: pd.DataFrame,
    marks: pd.DataFrame,
) -> Made:
    """Propose, freeze and apply rules, crossed over two halves of the folds of val."""
    frame = conditions_frame(images, attributes, marks)
    costs = metrics.get("costs")
    val = validation(frame, splits, classes["names"], predictions, label_issues, probed, responses, costs)
    material = Material.of(val, embeddings, signatures, shares(predictions, label_issues))
    return find(config, context, material, dose_response)


def find(config: Config, context: Context, material: Material, dose_response: pd.DataFrame) -> Made:
    """The same, for photos and a model from anywhere."""
    val = material.val
    slices = crossed(material, Knobs(**config.model_dump()), context.seed, context.track)
    if not val.errors.any():
        context.note("no failures on val: there is nothing to find")
    elif not slices:
        context.note(f"{int(val.errors.sum())} failures on val, and no rule that gathers them")
    table, membership = tables(val, slices, dose_response)
    return {"slices": table, "membership": membership}
