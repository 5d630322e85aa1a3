import math

import numpy as np
import pytest
from scipy import stats

from pipeline.contracts import RecordContract
from pipeline.statistics.paired_comparison import (
    HarmMargins,
    assess_non_inferiority,
    estimate_paired_gain,
)

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


def test_the_bound_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    treated, control = _pair(rng, 0.3, seeds=3, luck=0.1)
    gain = estimate_paired_gain(treated, control, GROUP)
    d = treated.astype(float) - control
    by_group = d.mean(0).reshape(80, 10).mean(1)
    changed = (np.abs(d.mean(0)).reshape(80, 10).sum(1) > 0).sum()
    variance = by_group.var(ddof=1) / 80 * (changed + 2) / changed
    spread = d.mean(1).var(ddof=1) / 3
    assert gain.bound == pytest.approx(
        d.mean() - stats.t.ppf(0.95, 2) * math.sqrt(spread + variance)
    )
    assert gain.seeds_judged


def test_one_seed_reports_that_seeds_were_not_compared() -> None:
    treated, control = _pair(np.random.default_rng(1), 0.3)
    gain = estimate_paired_gain(treated[0], control[0], GROUP)
    assert not gain.seeds_judged
    assert gain.degrees_of_freedom == 79
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
    assert (one.mean, one.bound, one.high, one.p_harm) == (1.0, -1.0, 1.0, None)
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


LABEL = np.where(GROUP < 40, "a", np.where(GROUP < 76, "b", "c"))  # c: four groups


def _arms(harm: dict[str, float], seed: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    control = rng.random(800) < 0.9
    broken = np.zeros(800, bool)
    for name, share in harm.items():
        broken |= (name == LABEL) & (rng.random(800) < share)
    return control & ~broken, control


def test_equal_models_are_not_inferior() -> None:
    result = assess_non_inferiority(*_arms({}), LABEL, GROUP)
    assert result.is_non_inferior
    assert [c.status for c in result.class_changes] == [
        "not inferior",
        "not inferior",
        "not assessable",
    ]
    assert result.pooled_gain is not None
    assert result.pooled_gain.n == 40
    assert result.is_pooled_non_inferior is None  # four groups cannot be judged
    RecordContract(("passed", "classes")).check_value("record", result.build_record(), {})


def test_shown_harm_to_one_class_vetoes() -> None:
    treated, control = _arms({"a": 0.2})
    treated |= LABEL == "b"  # and the others gain enough to hide it overall
    result = assess_non_inferiority(
        treated, control, LABEL, GROUP, margins=HarmMargins(overall=0.2)
    )
    assert result.is_overall_non_inferior
    assert not result.is_every_class_unharmed
    assert {c.class_name: c.status for c in result.class_changes} == {
        "a": "harmed",
        "b": "not inferior",
        "c": "not assessable",
    }


def test_an_overall_loss_is_refused() -> None:
    result = assess_non_inferiority(*_arms({"a": 0.04, "b": 0.04, "c": 0.04}), LABEL, GROUP)
    assert not result.is_overall_non_inferior


def test_small_classes_are_judged_together() -> None:
    label = np.array([f"class {g % 20}" for g in GROUP])  # four groups each
    rng = np.random.default_rng(8)
    control = np.ones(800)
    treated = control - (rng.random(800) < 0.06)
    result = assess_non_inferiority(
        treated, control, label, GROUP, margins=HarmMargins(overall=0.2)
    )
    assert result.pooled_gain is not None
    assert result.pooled_gain.groups == 80
    assert result.is_pooled_non_inferior is False
    assert not result.is_every_class_unharmed


def test_two_groups_that_lose_alike_prove_no_harm_and_five_may() -> None:
    control = np.ones(60)
    treated = control - (np.arange(60) % 15 == 0)
    few = estimate_paired_gain(treated, control, np.arange(60) // 30)
    assert (few.mean, few.bound, few.low, few.high) == (pytest.approx(-1 / 15), -1.0, -1.0, 1.0)
    assert few.p_harm == 0.25, "the signs of two groups can be flipped in four ways"
    many = estimate_paired_gain(np.zeros(60), control, np.arange(60) // 6)
    assert many.p_harm == pytest.approx(0.5**10)
    assert many.high < 0
    labels = np.where(np.arange(60) < 30, "a", "b")
    assert assess_non_inferiority(
        treated, control, labels, np.arange(60) // 15
    ).is_every_class_unharmed
