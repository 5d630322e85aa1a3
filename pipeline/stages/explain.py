"""Stage `explain`: estimate each slice on folds that did not choose its rule, name its cause.

Classes that fail as a whole are found beside them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.domain.rules import Mask
from pipeline.domain.slice_traits import SliceTrait, dump_traits
from pipeline.domain.statuses import SliceStatus
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.causes.cause_naming import CauseCandidate
from pipeline.slices.causes.cause_search import find_causes, suspect_cause
from pipeline.slices.causes.good_images import select_good_images
from pipeline.slices.causes.model_interventions import build_intervention_tools
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.slices.causes.shared_traits import find_shared_traits
from pipeline.slices.causes.slice_explanations import (
    CAUSE_DTYPES,
    EXPLANATION_DTYPES,
    build_explanation,
    list_cause_rows,
)
from pipeline.slices.causes.training_distance import TrainingReference
from pipeline.slices.family.class_search import find_class_slices
from pipeline.slices.testing.held_out_slices import (
    HeldOutSlice,
    collect_slice_evidence,
    load_held_out_slices,
)
from pipeline.slices.testing.slice_confirmation import SliceTest, confirm_slice


class Config(StageSettings):
    """Settings of the tests and of the search for causes."""

    false_discovery_rate: float = Field(
        0.05, gt=0, lt=1, description="family-wise p-value up to which a slice is confirmed"
    )
    matched_images: int = Field(
        150,
        ge=30,
        description="images of a slice, and good images, at most that are compared for a cause",
    )


def run(
    config: Config,
    context: StageContext,
    *,
    images: pd.DataFrame,
    pixels: NDArray[np.uint8],
    splits: pd.DataFrame,
    embeddings: NDArray[np.float32],
    model: Path,
    validation_set: ValidationSet,
    dose_response: pd.DataFrame,
    slices: pd.DataFrame,
    membership: pd.DataFrame,
) -> StageOutputs:
    """Return `explanations`, `causes` and `class_slices`.

    These have one row for each slice, for each cause that was tried, and for each finding about
    whole classes.

    Args:
        config: settings of the stage.
        context: seed, progress, notes and folders.
        images: the artifact of that name, as the further arguments.
    """
    return explain_slices(
        config,
        context,
        validation_set.exclude_label_issues(),
        build_intervention_tools(pixels, model, has_features=True),
        _select_training_reference(images, splits, embeddings, validation_set.class_names),
        slices=slices,
        membership=membership,
        dose_response=dose_response,
    )


def explain_slices(
    config: Config,
    context: StageContext,
    val: ValidationSet,
    tools: InterventionTools,
    training: TrainingReference | None = None,
    *,
    slices: pd.DataFrame,
    membership: pd.DataFrame,
    dose_response: pd.DataFrame,
) -> StageOutputs:
    """Return the outputs of the stage for any model, or without a model.

    Without one causes are suspected only.

    Args:
        config: settings of the stage.
        context: seed, progress and notes.
        val: validation images without label issues.
        tools: interventions and the model.
        training: the training images; None if they are unknown.
        slices: the artifact of that name, as the further arguments.
        membership: images of each slice.
        dose_response: interventions that were probed.
    """
    held_out_slices = load_held_out_slices(val, slices, membership, dose_response)
    slice_tests = []
    for item in held_out_slices:
        evidence = collect_slice_evidence(val, item, context.seed)
        slice_tests.append(confirm_slice(evidence, item.family_p, config.false_discovery_rate))
    pairs = list(zip(held_out_slices, slice_tests, strict=True))
    is_outside = np.ones(val.image_count, bool)
    for held_out, slice_test in pairs:
        if slice_test.status == SliceStatus.CONFIRMED:
            is_outside &= ~held_out.is_member
    rows = []
    cause_rows = []
    for held_out, slice_test in context.track_progress(pairs, total=len(pairs), unit="slices"):
        candidates: list[CauseCandidate] = []
        strength_range = None
        should_name_cause = _should_name_cause(held_out, slice_test)
        if should_name_cause:
            candidates, strength_range = _search_causes(
                config, context, val, held_out, is_outside, tools, dose_response
            )
        row = build_explanation(
            val, held_out, slice_test, candidates, strength_range, dose_response
        )
        traits: list[SliceTrait] = []
        if should_name_cause and row["cause"] is None:
            traits = find_shared_traits(
                val, held_out.is_member, held_out.tested_columns, context.seed, training
            )
        row["shared_traits"] = dump_traits(traits)
        rows.append(row)
        if tools.predict_labels:
            cause_rows += list_cause_rows(held_out.name, candidates)
    if pairs and not any(test.status == SliceStatus.CONFIRMED for test in slice_tests):
        context.add_note(f"{len(pairs)} slices were tested, and none was confirmed")
    training_counts = training.count_by_class(len(val.class_names)) if training else None
    explanations = pd.DataFrame(rows, columns=list(EXPLANATION_DTYPES))
    causes = pd.DataFrame(cause_rows, columns=list(CAUSE_DTYPES))
    return {
        "explanations": explanations.astype(EXPLANATION_DTYPES),
        "causes": causes.astype(CAUSE_DTYPES),
        "class_slices": find_class_slices(
            val, is_outside, training_counts, level=config.false_discovery_rate, seed=context.seed
        ),
    }


def _should_name_cause(held_out: HeldOutSlice, slice_test: SliceTest) -> bool:
    """Return whether a cause is sought: a slice of unmarked images has none but the mark."""
    is_confirmed = slice_test.status == SliceStatus.CONFIRMED
    return is_confirmed and not held_out.final_rule.is_unmarked_class


def _search_causes(
    config: Config,
    context: StageContext,
    val: ValidationSet,
    held_out: HeldOutSlice,
    is_outside: Mask,
    tools: InterventionTools,
    dose_response: pd.DataFrame,
) -> tuple[list[CauseCandidate], tuple[float, float] | None]:
    """Return the causes that were tried, best first, and the strengths of the named one."""
    good_images = select_good_images(
        val, is_outside, held_out.is_typical, tools, config.matched_images, context.seed
    )
    if not tools.predict_labels:
        return suspect_cause(good_images, held_out.is_typical, config.matched_images)
    return find_causes(
        good_images,
        held_out.is_member,
        held_out.is_typical,
        dose_response,
        config.matched_images,
        config.false_discovery_rate,
    )


def _select_training_reference(
    images: pd.DataFrame,
    splits: pd.DataFrame,
    embeddings: NDArray[np.float32],
    class_names: tuple[str, ...],
) -> TrainingReference:
    rows = np.flatnonzero((splits["split"] == "train").to_numpy())
    labels = pd.Index(class_names).get_indexer(pd.Index(images["label"].iloc[rows]))
    ids = images["image_id"].iloc[rows].to_numpy(dtype=str)
    return TrainingReference(ids, np.asarray(embeddings[rows]), np.asarray(labels, dtype=np.intp))
