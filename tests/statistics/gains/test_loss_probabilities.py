"""Partial pooling of changes: pipeline/statistics/gains/loss_probabilities.py."""

from __future__ import annotations

import numpy as np

from pipeline.statistics.gains.loss_probabilities import moderate_variances, pool_changes


def test_one_unlucky_class_of_many_is_drawn_towards_the_others() -> None:
    means = np.r_[np.zeros(20), -0.06]
    variances = np.full(21, 0.05**2)
    pooled = pool_changes(means, variances, 0.03)
    assert pooled.means[-1] > -0.03
    assert pooled.loss_probabilities[-1] < 0.4


def test_a_class_that_loses_with_much_evidence_stays_where_it_is() -> None:
    means = np.r_[np.zeros(20), -0.2]
    pooled = pool_changes(means, np.full(21, 0.02**2), 0.03)
    assert pooled.means[-1] < -0.15
    assert pooled.loss_probabilities[-1] > 0.99
    assert pooled.loss_probabilities[:-1].max() < 0.3


def test_probabilities_are_calibrated_for_small_classes() -> None:
    rng = np.random.default_rng(0)
    probabilities, losses = [], []
    for _ in range(400):
        truth = rng.normal(0.0, 0.05, 8)
        errors = rng.uniform(0.02, 0.08, 8)
        pooled = pool_changes(truth + errors * rng.normal(size=8), errors**2, 0.03)
        probabilities += pooled.loss_probabilities.tolist()
        losses += (truth < -0.03).tolist()
    assert abs(np.mean(probabilities) - np.mean(losses)) < 0.04
    likely = np.array(probabilities) > 0.8
    assert np.mean(np.array(losses)[likely]) > 0.7


def test_a_class_of_one_group_gets_the_variance_that_groups_share() -> None:
    moderated = moderate_variances(np.array([0.001, np.nan, 0.0]), np.array([40.0, 1.0, 3.0]))
    assert moderated[1] > 10 * moderated[0]
    assert 0 < moderated[2] < moderated[1]
