"""Stage `cluster`: find slices in one family of rules, tested on all of validation."""

from __future__ import annotations

import pandas as pd
from pydantic import Field

from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.cross_fitting import build_slice_tables
from pipeline.slices.family.slice_search import FinderSettings, find_slices


class Config(StageSettings):
    """Settings of the slice finder."""

    max_slices: int = Field(
        6, ge=1, le=50, description="slices at most that are proposed, one after the other"
    )
    min_images: int = Field(20, ge=5, description="images at least in a proposed slice")
    min_overlap: float = Field(
        0.5, gt=0, le=1, description="overlap of a half's rule with the slice, at least"
    )


def run(
    config: Config,
    context: StageContext,
    *,
    validation_set: ValidationSet,
    dose_response: pd.DataFrame,
) -> StageOutputs:
    """Return `slices`, the frozen rule of each slice and fold, and `membership`.

    Args:
        config: settings of the stage.
        context: seed, progress, notes and folders.
        validation_set: the artifact of that name, as the further arguments.
    """
    return propose_slices(config, context, validation_set.exclude_label_issues(), dose_response)


def propose_slices(
    config: Config, context: StageContext, val: ValidationSet, dose_response: pd.DataFrame
) -> StageOutputs:
    """Return the outputs of the stage for any validation set.

    Args:
        config: settings of the stage.
        context: seed, progress and notes.
        val: validation images without label issues.
        dose_response: interventions that were probed.
    """
    settings = FinderSettings(**config.model_dump())
    slices = find_slices(val, settings, context.seed, context.track_progress)
    failure_count = int(val.is_misclassified.sum())
    if not failure_count:
        context.add_note("no failures on val: there is nothing to find")
    elif not slices:
        context.add_note(f"{failure_count} failures on val, and no rule that gathers them")
    table, membership = build_slice_tables(val, slices, dose_response)
    return {"slices": table, "membership": membership}
