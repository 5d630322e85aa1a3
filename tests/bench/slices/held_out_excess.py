"""Excess error of confirmed rules on folds that entered nothing before."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.rules import Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.rule_admission import (
    measure_reference_distances,
    parse_frozen_rules,
)
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.stages import cluster, explain
from pipeline.statistics.permutation_tests import estimate_excess_error
from tests.bench.slices.finder_runs import (
    CONTEXT,
    DOSE_RESPONSE,
    Mask,
    build_val,
    find_held_out_rows,
)
from tests.bench.slices.planted_settings import PlantedCase


def _build_idle_tools(case: PlantedCase) -> InterventionTools:
    """Return tools without a model: no cause is searched."""

    def keep_pixels(_remedy: str, pixels: Any, _low: float, _high: float, _seed: int) -> Any:
        return pixels

    def measure_nothing(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.zeros((len(pixels), 1))

    return InterventionTools(case.pixels, keep_pixels, measure_nothing, None)


def measure_held_out_excess(case: PlantedCase) -> dict[str, Any]:
    """Return the excess error of each confirmed rule on folds that entered nothing before.

    The slices are confirmed on the other folds.

    Returns:
        `confirmed`, the number of slices, and `excess`: for each rule its text, and the excess with
        its 95 % interval by group.
    """
    whole = build_val(case)
    held_out_mask = find_held_out_rows(whole)
    val = whole.select_rows(~held_out_mask)
    proposed = cluster.propose_slices(
        cluster.Config.model_validate({}), CONTEXT, val, DOSE_RESPONSE
    )
    explained = explain.explain_slices(
        explain.Config.model_validate({}),
        CONTEXT,
        val,
        _build_idle_tools(case),
        slices=proposed["slices"],
        membership=proposed["membership"],
        dose_response=DOSE_RESPONSE,
    )
    excess = []
    for rule in parse_frozen_rules(explained["explanations"]).values():
        excess.append(_estimate_excess(case, whole, rule, held_out_mask))
    return {"confirmed": len(excess), "excess": excess}


def _estimate_excess(
    case: PlantedCase, val: ValidationSet, rule: Rule, held_out_mask: Mask
) -> dict[str, Any]:
    distances = measure_reference_distances(val.frame, [rule], case.outputs.features)
    is_member = rule.compute_mask(val.frame, distances)
    test = estimate_excess_error(
        val.is_misclassified[held_out_mask],
        val.labels[held_out_mask],
        is_member[held_out_mask],
        val.groups[held_out_mask],
    )
    return {"rule": rule.format_text(), **test.interval.build_record()}
