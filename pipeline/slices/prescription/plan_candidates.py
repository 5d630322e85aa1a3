"""Which plans a search tries: the slices' remedies one after another, by what the probe measured of each."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

PROBABILITY_FACTOR = 0.5


@dataclass(frozen=True)
class PlanCandidate:
    """A plan that may be trained, and what it is in words."""

    description: str
    plan: pd.DataFrame


def build_plan_candidates(
    plan: pd.DataFrame, effects: pd.Series[float], max_candidates: int
) -> list[PlanCandidate]:
    """Up to `most` plans made of the whole one, simplest first: the slice with the largest probed effect alone, then
    with the next, and so on to the whole; the whole at half its probabilities last.

    plan: the artifact; effects: of the probe's interventions, by slice; NaN, where nothing repaired it, comes last.
    """
    known = [
        s
        for s in effects.sort_values(ascending=False, na_position="last").index
        if (plan["slice"] == s).any()
    ]
    found = []
    for count in range(1, len(known) + 1):
        part = known[:count]
        share = "" if count == len(known) else " alone" if count == 1 else " only"
        found.append(PlanCandidate(f"{' and '.join(part)}{share}", plan[plan["slice"].isin(part)]))
    whole = found[-1:]
    found += [
        PlanCandidate(f"{c.description}, in half as many views", _halve_probabilities(c.plan))
        for c in whole
    ]
    return (
        found
        if len(found) <= max_candidates
        else [*found[: max_candidates - len(whole)], *whole][:max_candidates]
    )


def _halve_probabilities(plan: pd.DataFrame) -> pd.DataFrame:
    return plan.assign(probability=plan["probability"] * PROBABILITY_FACTOR)
