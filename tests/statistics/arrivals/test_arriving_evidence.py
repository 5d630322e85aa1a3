"""Anytime-valid evidence: pipeline/statistics/arrivals/arriving_evidence.py."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.statistics.arrivals.arriving_evidence import ArrivingEvidence, compute_evidence_path


def _share_shown(mean: float, groups: int, draws: int = 400, null_mean: float = 0.0) -> float:
    rng = np.random.default_rng(0)
    shown = 0
    for _ in range(draws):
        gains = np.clip(rng.normal(mean, 0.25, groups), -1, 1)
        shown += max(compute_evidence_path(gains, null_mean)) >= 20
    return shown / draws


def test_without_a_gain_looking_after_every_group_seldom_shows_one() -> None:
    assert _share_shown(0.0, 300) <= 0.05


def test_a_gain_is_shown_in_the_end() -> None:
    assert _share_shown(0.1, 300, draws=100) > 0.95
    assert _share_shown(0.1, 30, draws=100) < 0.9


def test_a_small_loss_within_the_margin_is_not_worse() -> None:
    assert _share_shown(0.0, 300, draws=100, null_mean=-0.1) > 0.95
    assert _share_shown(-0.1, 300, draws=100, null_mean=-0.1) <= 0.05


def test_wealth_never_falls_to_zero_and_bounds_are_checked() -> None:
    path = compute_evidence_path([1.0] * 20 + [-1.0] * 20)
    assert min(path) > 0
    evidence = ArrivingEvidence()
    with pytest.raises(ValueError, match="outside"):
        evidence.add_group(1.5)
    assert not evidence.is_shown(0.05)
