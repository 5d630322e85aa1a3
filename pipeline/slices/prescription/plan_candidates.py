"""The plans that a search tries: the slices' remedies, added one after another."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from pipeline.slices.finder_constants import CONSTANTS


@dataclass(frozen=True)
class PlanCandidate:
    """A plan that may be trained.

    Attributes:
        description: the plan in words.
        plan: rows of the artifact `plan`.
    """

    description: str
    plan: pd.DataFrame


def build_plan_candidates(
    plan: pd.DataFrame, effects: pd.Series[float], max_candidates: int
) -> list[PlanCandidate]:
    """Return parts of a plan, simplest first.

    The slice with the largest probed effect comes first, alone; the next slices are added one by
    one. The whole plan comes next, and last the whole plan at reduced probability.

    Args:
        plan: the artifact `plan`.
        effects: probed effect of an intervention on each slice; NaN, which comes last, if nothing
            repaired it.
        max_candidates: largest number of plans; the whole plan is kept before additions.
    """
    planned = set(plan["slice"])
    ordered = effects.sort_values(ascending=False, na_position="last").index
    names = [name for name in ordered if name in planned]
    candidates = []
    for count in range(1, len(names) + 1):
        suffix = "" if count == len(names) else " alone" if count == 1 else " only"
        description = f"{' and '.join(names[:count])}{suffix}"
        part = plan[plan["slice"].isin(names[:count])]
        candidates.append(PlanCandidate(description, part))
    if not candidates:
        return []
    whole = candidates[-1]
    reduced = PlanCandidate(
        f"{whole.description}, in half as many views", _reduce_probabilities(whole.plan)
    )
    if len(candidates) < max_candidates:
        return [*candidates, reduced]
    return [*candidates[: max_candidates - 1], whole][:max_candidates]


def _reduce_probabilities(plan: pd.DataFrame) -> pd.DataFrame:
    factor = CONSTANTS.prescription.reduced_probability_factor
    return plan.assign(probability=plan["probability"] * factor)
