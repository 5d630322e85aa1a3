import numpy as np
import pytest
from scipy import stats

from pipeline.statistics.contingency_tables import build_contingency_tables, compare_error_rates
from pipeline.statistics.permutation_tests import estimate_excess_error

RUNS = 600


def _draw(
    rng: np.random.Generator, planted: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return errors, labels and mask of 300 images; the mask prefers some of 6 classes."""
    label, hard = rng.integers(0, 6, 300), np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4])
    score = rng.normal(size=300) + rng.normal(0, 0.8, 6)[label]
    inside = score > np.quantile(score, 0.85)
    return rng.random(300) < np.clip(hard[label] + planted * inside, 0, 1), label, inside


def test_it_alarms_as_often_as_promised_and_finds_what_is_planted() -> None:
    rng = np.random.default_rng(0)
    null = np.array([compare_error_rates(*_draw(rng))[1] for _ in range(RUNS)])
    for level in (0.05, 0.01):
        assert (null <= level).mean() <= level + 2.6 * (level * (1 - level) / RUNS) ** 0.5
    assert (null <= 0.05).mean() > 0.005, "nor is it blind"
    p_values = [compare_error_rates(*_draw(rng, 0.25))[1] for _ in range(100)]
    assert np.mean(np.array(p_values) <= 0.01) > 0.7


def test_of_one_stratum_it_is_fishers() -> None:
    errors, inside = np.arange(200) % 5 == 0, np.arange(200) < 60
    errors[:20] = True
    table = [
        [(errors & inside).sum(), (~errors & inside).sum()],
        [(errors & ~inside).sum(), (~errors & ~inside).sum()],
    ]
    _, p = compare_error_rates(errors, np.zeros(200, np.intp), inside)
    assert p == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue)


def test_only_strata_with_something_to_compare_count() -> None:
    rng = np.random.default_rng(1)
    errors, label, inside = _draw(rng, 0.2)
    more = (
        np.concatenate([errors, np.ones(50, bool)]),
        np.concatenate([label, np.full(50, 6)]),
        np.concatenate([inside, np.arange(50) < 20]),
    )
    assert len(build_contingency_tables(*more)) == len(
        build_contingency_tables(errors, label, inside)
    )
    assert compare_error_rates(*more) == compare_error_rates(errors, label, inside)
    assert compare_error_rates(np.zeros(90, bool), np.zeros(90, np.intp), np.arange(90) < 30) == (
        0.0,
        1.0,
    )
    nobody = np.zeros(0, bool)
    assert compare_error_rates(nobody, np.zeros(0, np.intp), nobody) == (0.0, 1.0)


def test_fewer_errors_inside_are_no_finding() -> None:
    inside = np.arange(400) < 100
    errors = ~inside & (np.arange(400) % 3 == 0)
    statistic, p = compare_error_rates(errors, np.arange(400) % 4, inside)
    assert statistic < -3
    assert p > 0.99


def test_images_alone_are_tested_by_their_tables_and_tracks_by_permutation() -> None:
    errors, label, inside = _draw(np.random.default_rng(2), 0.2)
    alone = estimate_excess_error(errors, label, inside, np.arange(300))
    assert (alone.statistic, alone.p) == compare_error_rates(errors, label, inside)
    tracks = np.arange(300) // 2
    grouped = estimate_excess_error(errors, label, inside, tracks)
    costs = estimate_excess_error(0.4 * errors, label, inside, np.arange(300))
    for test in (grouped, costs):
        assert test.p is not None
        assert 2000 * test.p == pytest.approx(round(2000 * test.p)), "so many of 2,000 draws"
        assert test.p != alone.p
