"""Evidence of all labeled batches: pipeline/statistics/arrivals/arrival_verdict.py."""

from __future__ import annotations

import numpy as np

from pipeline.statistics.arrivals.active_evaluation import LabeledTraffic, draw_labels
from pipeline.statistics.arrivals.arrival_batch import (
    ArrivalBatch,
    ArrivedAnswers,
    build_arrival_batch,
)
from pipeline.statistics.arrivals.arrival_verdict import ArrivalVerdict, judge_arrivals

ALPHA = 0.025
GROUPS_A_NIGHT, IMAGES_PER_GROUP = 60, 4


def _draw_night(
    rng: np.random.Generator, night: int, gain: float, worse: float = 0.0, labels: int = 30
) -> ArrivalBatch:
    """Return a night of which a third is in a slice with a gain, and the rest with a loss."""
    count = GROUPS_A_NIGHT * IMAGES_PER_GROUP
    groups = np.repeat(np.arange(GROUPS_A_NIGHT), IMAGES_PER_GROUP)
    is_inside = groups % 3 == 0
    truth = np.where(groups % 2 == 0, "badge", "none")
    mood = rng.random(GROUPS_A_NIGHT)[groups]  # images of a group fail together
    chance = 0.5 * mood + 0.5 * rng.random(count)
    repaired, broken = np.where(is_inside, gain, 0.0), np.where(is_inside, 0.0, worse)
    other = np.where(truth == "badge", "none", "badge")
    quantiles = np.sort(chance)
    is_repaired = chance < np.interp(0.06 + repaired, np.linspace(0, 1, count), quantiles)
    is_broken = chance > np.interp(1 - 0.06 - broken, np.linspace(0, 1, count), quantiles)
    challenger = np.where(is_broken, other, truth)
    incumbent = np.where(is_repaired, other, truth)
    draw = draw_labels(challenger != incumbent, is_inside, labels, int(rng.integers(2**31)))
    names = np.array([f"n{night}-{group:03d}" for group in groups])
    traffic = LabeledTraffic(names, draw.probability, draw.is_drawn)
    labeled = np.where(draw.is_drawn, truth, "")
    return build_arrival_batch(traffic, ArrivedAnswers(challenger, incumbent, labeled, is_inside))


def _draw_month(seed: int, gain: float, worse: float = 0.0) -> ArrivalVerdict:
    rng = np.random.default_rng(seed)
    nights = [_draw_night(rng, night, gain, worse) for night in range(30)]
    return judge_arrivals(nights, ALPHA)


def test_a_gain_is_shown_within_a_month_and_none_is_not() -> None:
    better = [_draw_month(seed, 0.12) for seed in range(20)]
    same = [_draw_month(seed, 0.0) for seed in range(80)]
    assert np.mean([item.evidence_gain >= item.needed for item in better]) >= 0.8
    assert np.mean([item.evidence_gain >= item.needed for item in same]) <= 0.05
    gains = [item.gain for item in better if item.gain is not None]
    assert abs(np.mean(gains) - 0.12) < 0.03


def test_a_loss_elsewhere_leaves_safety_unshown() -> None:
    worse = [_draw_month(seed, 0.12, 0.1) for seed in range(20)]
    assert np.mean([item.evidence_safe >= item.needed for item in worse]) <= 0.05


def test_groups_count_once_and_known_ones_not_at_all() -> None:
    night = _draw_night(np.random.default_rng(0), 0, 0.2)
    once, twice = judge_arrivals([night], ALPHA), judge_arrivals([night, night], ALPHA)
    assert twice.evidence_gain == once.evidence_gain
    assert (twice.groups, twice.batches) == (GROUPS_A_NIGHT, 2)
    nothing = judge_arrivals([night], ALPHA, night.groups)
    assert (nothing.groups, nothing.gain, nothing.evidence_gain) == (0, None, 1.0)


def test_a_class_that_pays_is_named() -> None:
    count = 200
    groups = np.array([f"g{k // 2:03d}" for k in range(count)])
    truth = np.where(np.arange(count) % 4 < 2, "badge", "none")
    incumbent = np.where(np.arange(count) % 8 >= 6, "badge", truth)  # half of "none" is wrong
    challenger = np.where(np.arange(count) % 8 == 0, "none", truth)  # a quarter of "badge" is
    answers = ArrivedAnswers(challenger, incumbent, truth, np.ones(count, dtype=bool))
    traffic = LabeledTraffic(groups, np.ones(count), np.ones(count, dtype=bool))
    verdict = judge_arrivals([build_arrival_batch(traffic, answers)], ALPHA)
    assert {part["class"] for part in verdict.harmed} == {"badge"}
    assert verdict.gain is not None
    assert verdict.gain > 0
    assert verdict.build_record()["harmed"] == verdict.harmed
