"""How often each gate promotes: null pairs, worse models, planted gains, planted trades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.domain.gate_conditions import can_promote, evaluate_gate
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
        failed: how often each condition of the gate failed, by condition and split.
    """

    draws: int
    promoted: int
    former: int
    failed: dict[str, int]


def judge_draw(val: ModelComparison, test: ModelComparison) -> tuple[bool, list[dict[str, Any]]]:
    """Return whether the gate promotes, and its conditions; test counts if val passes."""
    val_record = judge_val_record(
        build_split_record(val, [SLICE_NAME], VAL_ALPHA, MARGINS), val.arm_in_force
    )
    has_champion = bool(val.select_arm("champion"))
    status = ChampionStatus.COMPARED if has_champion else ChampionStatus.NONE
    test_record = None
    if val_record["passed"]:
        test_record = build_split_record(test, [SLICE_NAME], TEST_ALPHA, MARGINS)
    comparison = {
        "outcome": ComparisonOutcome.TESTED if test_record else ComparisonOutcome.REFUSED_ON_VAL,
        "counts": {"slices": 1, "confirmed": 1, "planned": 1, "seeds": 1},
        "margins": {
            "overall": MARGINS.overall,
            "by_class": MARGINS.by_class,
            "max_loss_probability": MARGINS.max_loss_probability,
        },
        "champion": {"status": status, "run_id": None},
        "val": val_record,
        "test": test_record,
        "opening": {
            "opened": test_record is not None,
            "reason": OpeningReason.VAL_PASSED,
            "number": 1,
            "ordinal": "first",
            "alpha": TEST_ALPHA,
        },
    }
    conditions = evaluate_gate(comparison)
    return can_promote(comparison, conditions), conditions


def run_trials(design: SplitDesign, draws: int, seed: int = 0) -> TrialCounts:
    """Return how often both gates promote over draws of validation and test."""
    rng = np.random.default_rng(seed)
    promoted = former = 0
    failed: dict[str, int] = {}
    for _ in range(draws):
        val, test = draw_comparison(rng, design), draw_comparison(rng, design)
        is_promoted, conditions = judge_draw(val, test)
        promoted += is_promoted
        for item in conditions:
            if not item["passed"]:
                key = f"{item['condition']} ({item['split']})"
                failed[key] = failed.get(key, 0) + 1
        former += all(
            passes_former_split(split, split.slice_masks[SLICE_NAME], alpha)
            for split, alpha in ((val, VAL_ALPHA), (test, TEST_ALPHA))
        )
    return TrialCounts(draws, promoted, former, failed)


WORSE_THAN_CHAMPION = ArmShifts((-0.12, -0.12, -0.04), (-0.02,) * 3, (0.0, 0.0, 0.0))
GAIN_OF_EIGHT = ArmShifts(targeted=(0.08, 0.08, 0.0))
TRADE = ArmShifts(targeted=(0.2, -0.1, 0.0))
