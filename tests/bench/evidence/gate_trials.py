"""How often each gate promotes: null pairs, worse models, planted gains, planted trades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.domain.gate_conditions import evaluate_gate
from pipeline.domain.statuses import ChampionStatus, ComparisonOutcome, OpeningReason
from pipeline.slices.comparison.comparison_record import build_split_record, judge_val_record
from pipeline.statistics.gains.harm_assessment import HarmMargins
from pipeline.statistics.model_comparison import ModelComparison
from tests.bench.evidence.draws import SLICE_NAME, ArmShifts, SplitDesign, draw_comparison
from tests.bench.evidence.former_gate import passes_former_split

VAL_ALPHA, TEST_ALPHA = 0.05, 0.025
MARGINS = HarmMargins()


@dataclass(frozen=True)
class TrialCounts:
    """Promotions of both gates on the same draws.

    Attributes:
        draws: number of draws.
        promoted: promotions of the gate.
        former: promotions of the former gate.
    """

    draws: int
    promoted: int
    former: int


def judge_val(val: ModelComparison) -> dict[str, Any]:
    """Return the record of validation, judged as a screen."""
    record = build_split_record(val, [SLICE_NAME], VAL_ALPHA, MARGINS)
    return judge_val_record(record, val.arm_in_force)


def judge_test(val_record: dict[str, Any], test: ModelComparison) -> list[dict[str, Any]]:
    """Return the conditions of the gate, after validation has passed."""
    has_champion = bool(test.select_arm("champion"))
    status = ChampionStatus.COMPARED if has_champion else ChampionStatus.NONE
    return evaluate_gate(
        {
            "outcome": ComparisonOutcome.TESTED,
            "counts": {"slices": 1, "confirmed": 1, "planned": 1, "seeds": 1},
            "margins": {
                "overall": MARGINS.overall,
                "by_class": MARGINS.by_class,
                "max_loss_probability": MARGINS.max_loss_probability,
            },
            "champion": {"status": status, "run_id": None},
            "val": val_record,
            "test": build_split_record(test, [SLICE_NAME], TEST_ALPHA, MARGINS),
            "opening": {
                "opened": True,
                "reason": OpeningReason.VAL_PASSED,
                "number": 1,
                "ordinal": "first",
                "alpha": TEST_ALPHA,
            },
        }
    )


def run_trials(design: SplitDesign, draws: int, seed: int = 0) -> TrialCounts:
    """Return how often both gates promote over draws of validation and test.

    Test is drawn only if validation passes one of them.
    """
    rng = np.random.default_rng(seed)
    promoted = former = 0
    for _ in range(draws):
        val = draw_comparison(rng, design)
        val_record = judge_val(val)
        has_former_passed = passes_former_split(val, val.slice_masks[SLICE_NAME], VAL_ALPHA)
        if not val_record["passed"] and not has_former_passed:
            continue
        test = draw_comparison(rng, design)
        if val_record["passed"]:
            promoted += all(item["passed"] for item in judge_test(val_record, test))
        if has_former_passed:
            former += passes_former_split(test, test.slice_masks[SLICE_NAME], TEST_ALPHA)
    return TrialCounts(draws, promoted, former)


WORSE_THAN_CHAMPION = ArmShifts((-0.12, -0.12, -0.04), (-0.02,) * 3, (0.0, 0.0, 0.0))
GAIN_OF_EIGHT = ArmShifts(targeted=(0.08, 0.08, 0.0))
TRADE = ArmShifts(targeted=(0.2, -0.1, 0.0))
