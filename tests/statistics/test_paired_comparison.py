import math

import numpy as np
import pytest
from scipy import stats

from pipeline.contracts import RecordContract
from pipeline.statistics.paired_comparison import estimate_paired_gain

GROUP = np.repeat(np.arange(80), 10)


def _pair(
    rng: np.random.Generator, gain: float, seeds: int = 1, luck: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the correctness [seeds, n] of two arms that share the images' difficulty.

    The frames of a group share noise; each run of an arm has separate noise of deviation `luck`.
    """
    shared = rng.normal(size=80)[GROUP]

    def arm(shift: float) -> np.ndarray:
        rows = []
        for _ in range(seeds):
            own = shared + 0.3 * rng.normal(size=80)[GROUP] + 0.3 * rng.normal(size=len(GROUP))
            rows.append(own + shift + luck * rng.normal() > -1.2)
        return np.array(rows)

    return arm(gain), arm(0.0)


def test_the_bound_has_the_degrees_of_freedom_of_seeds_and_groups() -> None:
    rng = np.random.default_rng(0)
    treated, control = _pair(rng, 0.3, seeds=3, luck=0.3)
    gain = estimate_paired_gain(treated, control, GROUP)
    d = treated.astype(float) - control
    means = d.reshape(3, 80, 10).mean(2)
    by_group = means.mean(0).var(ddof=1) / 80
    seed_parts = [arm.mean(1).var(ddof=1) / 3 for arm in (treated, control)]
    deviations = means - means.mean(0) - means.mean(1, keepdims=True) + means.mean()
    shared = (deviations**2).sum() / (2 * 79) / (3 * 80)
    total = sum(seed_parts) + by_group
    degrees = total**2 / (sum(part**2 / 2 for part in seed_parts) + by_group**2 / 79)
    changed = (np.abs(d.mean(0)).reshape(80, 10).sum(1) > 0).sum()
    variance = total - shared + by_group * 2 / changed
    assert gain.bound == pytest.approx(d.mean() - stats.t.ppf(0.95, degrees) * math.sqrt(variance))
    assert gain.seeds_judged


def test_five_seeds_are_no_weaker_than_one() -> None:
    rng = np.random.default_rng(3)
    pairs = [_pair(rng, 0.25, seeds=5, luck=0.05) for _ in range(40)]
    all_seeds = [estimate_paired_gain(t, c, GROUP, 0.025).bound > 0 for t, c in pairs]
    first = [estimate_paired_gain(t[0], c[0], GROUP, 0.025).bound > 0 for t, c in pairs]
    assert np.mean(all_seeds) >= np.mean(first)


def test_a_single_model_has_no_variance_over_seeds() -> None:
    treated, control = _pair(np.random.default_rng(1), 0.3, seeds=3)
    gain = estimate_paired_gain(treated, control[0], GROUP)
    assert gain.seeds == 3
    assert gain.seed_degrees == 2, "of the treated arm alone"


def test_weights_let_every_class_count_alike() -> None:
    is_rare = np.arange(800) % 10 == 0
    treated = np.where(is_rare, 0.0, 1.0)
    weights = np.where(is_rare, 1 / is_rare.sum(), 1 / (~is_rare).sum())
    gain = estimate_paired_gain(treated, np.full(800, 0.5), GROUP, weights=weights)
    assert gain.mean == pytest.approx(0.0)
    assert estimate_paired_gain(treated, np.full(800, 0.5), GROUP).mean == pytest.approx(0.4)


def test_few_groups_of_very_unequal_size_are_covered() -> None:
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(400):
        sizes = np.clip(np.round(np.exp(rng.normal(0, 1, 14)) * 4), 1, 60).astype(int)
        groups = np.repeat(np.arange(14), sizes)
        values = rng.normal(0.1, 0.3, 14)[groups] + rng.normal(0, 0.2, len(groups))
        gain = estimate_paired_gain(values, np.zeros(len(groups)), groups)
        hits += gain.low <= 0.1 <= gain.high
    assert hits / 400 >= 0.95 - 2.6 * (0.05 * 0.95 / 400) ** 0.5


def test_one_seed_reports_that_seeds_were_not_compared() -> None:
    treated, control = _pair(np.random.default_rng(1), 0.3)
    gain = estimate_paired_gain(treated[0], control[0], GROUP)
    assert not gain.seeds_judged
    assert gain.degrees_of_freedom == pytest.approx(79)
    assert gain.low < gain.bound < gain.mean < gain.high


@pytest.mark.parametrize(("seeds", "luck"), [(1, 0.0), (3, 0.3)])
def test_no_gain_is_rarely_called_one(seeds: int, luck: float) -> None:
    rng = np.random.default_rng(2)
    alarms = np.mean(
        [estimate_paired_gain(*_pair(rng, 0.0, seeds, luck), GROUP).bound > 0 for _ in range(400)]
    )
    assert alarms <= 0.05 + 2.6 * (0.05 * 0.95 / 400) ** 0.5


def test_a_planted_gain_is_significant() -> None:
    rng = np.random.default_rng(4)
    assert (
        np.mean([estimate_paired_gain(*_pair(rng, 0.5), GROUP).bound > 0 for _ in range(50)]) > 0.9
    )


@pytest.mark.parametrize(("fixed", "shown"), [(1, False), (3, False), (4, False), (6, True)])
def test_a_handful_of_images_is_no_proof(fixed: int, shown: bool) -> None:
    control = np.zeros(200)
    treated = (np.arange(200) < fixed).astype(float)
    assert (estimate_paired_gain(treated, control, np.arange(200)).bound > 0) is shown


def test_degenerate_inputs() -> None:
    one = estimate_paired_gain(np.ones(5), np.zeros(5), np.zeros(5))
    assert (one.mean, one.bound, one.high) == (1.0, -1.0, 1.0)
    none = estimate_paired_gain(np.zeros((1, 0)), np.zeros((1, 0)), [])
    assert none.build_record()["mean"] is None
    same = estimate_paired_gain(np.ones(50), np.ones(50), np.arange(50))
    assert -0.1 < same.bound < 0 < same.high
    assert same.build_record()["within_noise"]
    RecordContract(()).check_value("gain", none.build_record() | one.build_record(), {})


def test_needed_grows_as_the_gain_shrinks() -> None:
    rng = np.random.default_rng(5)
    big = estimate_paired_gain(*_pair(rng, 0.5), GROUP)
    small = estimate_paired_gain(*_pair(rng, 0.1), GROUP)
    assert big.estimate_required_groups() is not None
    assert small.mean <= 0 or small.estimate_required_groups() > big.estimate_required_groups()
    assert big.estimate_required_groups(target=0.9) is None


def test_the_groups_needed_have_the_power_that_is_promised() -> None:
    rng = np.random.default_rng(5)
    gain = estimate_paired_gain(*_pair(rng, 0.3, seeds=5, luck=0.02), GROUP, 0.025)
    needed = gain.estimate_required_groups(0.0, 0.025)
    assert needed is not None
    assert gain.compute_power(needed - 1, 0.025) < 0.8 <= gain.compute_power(needed, 0.025)
    detectable = gain.compute_detectable_gain(needed, 0.025)
    assert detectable == pytest.approx(gain.mean, rel=0.05)
    assert gain.compute_power(0, 0.025) == 0
    assert gain.compute_detectable_gain(2, 0.025) is None


def test_no_number_of_groups_makes_up_for_the_luck_of_two_seeds() -> None:
    control = np.zeros((2, 800))
    treated = np.array([np.arange(800) % 2 == 0, np.zeros(800)])
    gain = estimate_paired_gain(treated, control, GROUP)
    assert gain.mean == pytest.approx(0.25)
    assert gain.estimate_required_groups() is None


def test_groups_that_lose_alike_are_too_few_to_show_it() -> None:
    control = np.ones(60)
    treated = control - (np.arange(60) % 15 == 0)
    few = estimate_paired_gain(treated, control, np.arange(60) // 30)
    assert (few.mean, few.bound, few.low, few.high) == (pytest.approx(-1 / 15), -1.0, -1.0, 1.0)
    many = estimate_paired_gain(np.zeros(60), control, np.arange(60) // 6)
    assert many.high < 0
