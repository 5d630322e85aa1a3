"""The plans that a search tries: the slices' remedies, added one after another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from pipeline.slices.finder_constants import CONSTANTS


@dataclass(frozen=True)
class PlanCandidate:
    """A plan that may be trained.

    Attributes:
        plan: rows of the artifact `plan`.
        slices: the slices that it treats, by effect.
        is_whole: whether these are all planned slices.
        is_reduced: whether fewer views of them are treated.
    """

    plan: pd.DataFrame
    slices: tuple[str, ...]
    is_whole: bool
    is_reduced: bool = False


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
        part = plan[plan["slice"].isin(names[:count])]
        candidates.append(PlanCandidate(part, tuple(names[:count]), count == len(names)))
    if not candidates:
        return []
    whole = candidates[-1]
    reduced = replace(whole, plan=_reduce_probabilities(whole.plan), is_reduced=True)
    if len(candidates) < max_candidates:
        return [*candidates, reduced]
    return [*candidates[: max_candidates - 1], whole][:max_candidates]


def _reduce_probabilities(plan: pd.DataFrame) -> pd.DataFrame:
    factor = CONSTANTS.prescription.reduced_probability_factor
    return plan.assign(probability=plan["probability"] * factor)
