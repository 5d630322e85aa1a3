"""Gains and accuracies from few labels: pipeline/statistics/arrivals/active_evaluation.py."""

from __future__ import annotations

import numpy as np

from pipeline.statistics.arrivals.active_evaluation import (
    LabeledTraffic,
    draw_labels,
    estimate_labeled_accuracy,
    estimate_labeled_gain,
)

COUNT = 4000


def _draw_traffic(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.zeros(COUNT, int)
    new = (rng.random(COUNT) < 0.1).astype(int)
    old = np.where(rng.random(COUNT) < 0.1, 1 - new, new)
    confidence = np.where(new == 0, rng.uniform(0.8, 1, COUNT), rng.uniform(0.4, 0.8, COUNT))
    inside = rng.random(COUNT) < 0.3
    gains = (new == truth).astype(float) - (old == truth)
    return {"new": new, "old": old, "confidence": confidence, "inside": inside, "gains": gains}


def test_labels_go_to_disagreements_inside_slices_first() -> None:
    table = _draw_traffic(0)
    differ = table["new"] != table["old"]
    draw = draw_labels(differ, table["inside"], 100, 0)
    assert draw.is_drawn.sum() == 100
    assert (draw.is_drawn & differ & table["inside"]).sum() == 60
    assert (draw.is_drawn & ~differ).sum() == 20
    assert draw.probability[draw.is_drawn].min() > 0
    assert abs(draw.probability.sum() - 100) < 1e-9
    assert draw_labels(differ, table["inside"], 10**6, 0).is_drawn.all()
    assert draw_labels(differ & False, table["inside"], 50, 0).is_drawn.sum() == 50


def test_intervals_cover_the_gain_and_the_accuracy() -> None:
    covered = np.zeros(2)
    for seed in range(100):
        table = _draw_traffic(seed)
        differ = table["new"] != table["old"]
        draw = draw_labels(differ, table["inside"], 400, seed)
        traffic = LabeledTraffic(np.arange(COUNT), draw.probability, draw.is_drawn)
        whole = np.ones(COUNT, bool)
        gain = estimate_labeled_gain(traffic, table["gains"], differ, whole)
        correct = (table["new"] == 0).astype(float)
        accuracy = estimate_labeled_accuracy(traffic, correct, table["confidence"])
        truth = (0.9 - (0.9 * 0.9 + 0.1 * 0.1), 0.9)
        for index, interval in enumerate((gain, accuracy)):
            covered[index] += interval.low <= truth[index] <= interval.high
    assert (covered >= 88).all()


def test_a_gain_without_disagreement_is_zero_without_a_label() -> None:
    nothing = np.zeros(50, bool)
    traffic = LabeledTraffic(np.arange(50), np.zeros(50), nothing)
    gain = estimate_labeled_gain(traffic, np.zeros(50), nothing, ~nothing)
    assert gain.value == 0
