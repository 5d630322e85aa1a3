"""Choice of the plan to train in full, by the validation predictions of short fine-tunes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.prescription.plan_candidates import build_plan_candidates
from pipeline.statistics.classification.error_costs import compute_utilities
from pipeline.statistics.simplest_choice import choose_simplest_candidate

PlanEvaluator = Callable[[Sequence[pd.DataFrame]], NDArray[np.intp]]
"""Plans to the validation predictions of models trained with them, class indices [plans, rows]."""


@dataclass(frozen=True)
class PlanChoice:
    """The result of a plan search.

    Attributes:
        plan: the chosen plan; empty if none helped.
        tried: slices, is_whole, is_reduced, gains and whether it was chosen, for each plan that was
            tried.
    """

    plan: pd.DataFrame
    tried: list[dict[str, Any]]


def choose_plan(
    plan: pd.DataFrame,
    effects: pd.Series[float],
    max_plans: int,
    evaluate_plans: PlanEvaluator,
    *,
    val: ValidationSet,
    membership: pd.DataFrame,
) -> PlanChoice:
    """Return the simplest plan that is about as good as the best one.

    Args:
        plan: the whole plan, for all slices.
        effects: by slice, the effect of an intervention on it.
        max_plans: plans at most that are tried.
        evaluate_plans: trains and predicts; its first plan is empty.
        val: the validation set.
        membership: images of each slice.
    """
    candidates = build_plan_candidates(plan, effects, max_plans)
    nothing = plan.iloc[:0]
    predictions = evaluate_plans([nothing, *(candidate.plan for candidate in candidates)])
    is_member = membership["slice"].isin(plan["slice"])
    is_inside = val.frame["image_id"].isin(membership.loc[is_member, "image_id"]).to_numpy()
    utilities = []
    for plan_predictions in predictions:
        utilities.append(compute_utilities(val.labels, plan_predictions, val.error_costs))
    chosen, gains = choose_simplest_candidate(np.stack(utilities), is_inside, val.groups)
    tried = []
    for position, candidate in enumerate(candidates):
        tried.append(
            {
                "slices": list(candidate.slices),
                "is_whole": candidate.is_whole,
                "is_reduced": candidate.is_reduced,
                **gains[position],
                "chosen": position == chosen,
            }
        )
    best = nothing if chosen is None else candidates[chosen].plan.reset_index(drop=True)
    return PlanChoice(best, tried)
