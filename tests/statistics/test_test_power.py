import numpy as np
import pytest
from scipy import stats

from pipeline.statistics.test_power import (
    build_power_row,
    compute_detectable_excess,
    compute_detectable_gain,
)


def test_power_reports_available_and_required_groups() -> None:
    part = {"n": 90, "groups": 9, "gain": {"bound": -0.02}}
    row = build_power_row(part, 14)
    assert (row["groups"], row["groups_needed"], row["enough"], row["bound"]) == (
        9,
        14,
        False,
        -0.02,
    )
    assert build_power_row(part, 9)["enough"] is True
    assert build_power_row({**part, "gain": None}, None)["enough"] is None


def test_the_detectable_excess_is_significant_with_the_stated_power() -> None:
    inside, outside = 40, 160
    excess = compute_detectable_excess(inside, outside)
    rng = np.random.default_rng(0)
    slice_ = rng.binomial(inside, 0.2 + excess, 4000) / inside
    rest = rng.binomial(outside, 0.2, 4000) / outside
    spread = np.sqrt(0.2 * 0.8 * (1 / inside + 1 / outside))
    power = ((slice_ - rest) / spread > stats.norm.ppf(0.95)).mean()
    assert power == pytest.approx(0.8, abs=0.05)


def test_more_groups_find_less_and_none_find_nothing() -> None:
    assert compute_detectable_excess(10, 40) > compute_detectable_excess(100, 400)
    assert compute_detectable_excess(0, 10) == compute_detectable_excess(10, 0) == 1.0


def test_more_groups_show_smaller_gains_and_a_handful_shows_none() -> None:
    gains = [compute_detectable_gain(groups) for groups in (20, 80, 320)]
    assert None not in gains
    assert gains == sorted(gains, reverse=True)
    assert compute_detectable_gain(0) is None
    assert compute_detectable_gain(5) is None, "five flips reach 1/32 at best"
