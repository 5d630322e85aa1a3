"""Proposes slices on each half of val, freezes each as a readable rule, and applies it to the other half."""

from __future__ import annotations

import pandas as pd
from pydantic import Field

from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.cross_fitting import build_slice_tables, cross_fit_slices
from pipeline.slices.candidates.rule_application import FinderSettings


class Config(StageSettings):
    """Settings of the finder."""

    max_slices: int = Field(
        6,
        ge=1,
        le=50,
        description="most slices proposed from a half of val; each costs the others power",
    )
    signature_clusters: int = Field(6, ge=2, description="clusters of repair signatures")
    prototypes: int = Field(
        6, ge=0, description="failing images around which look-alikes are tried"
    )
    min_images: int = Field(20, ge=5, description="fewest images in a proposed slice")
    min_overlap: float = Field(
        0.5, gt=0, le=1, description="overlap from which rules of both halves are one slice"
    )


def run(
    config: Config,
    context: StageContext,
    *,
    validation_set: ValidationSet,
    dose_response: pd.DataFrame,
) -> StageOutputs:
    """Propose, freeze and apply rules, crossed over two halves of the folds of val."""
    return propose_slices(config, context, validation_set.exclude_label_issues(), dose_response)


def propose_slices(
    config: Config, context: StageContext, val: ValidationSet, dose_response: pd.DataFrame
) -> StageOutputs:
    """The same, for images and a model from anywhere."""
    slices = cross_fit_slices(
        val, FinderSettings(**config.model_dump()), context.seed, context.track_progress
    )
    if not val.is_misclassified.any():
        context.add_note("no failures on val: there is nothing to find")
    elif not slices:
        context.add_note(
            f"{int(val.is_misclassified.sum())} failures on val, and no rule that gathers them"
        )
    table, membership = build_slice_tables(val, slices, dose_response)
    return {"slices": table, "membership": membership}
