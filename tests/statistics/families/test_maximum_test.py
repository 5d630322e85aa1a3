import numpy as np
import pytest
from scipy import sparse

from pipeline.statistics.families.maximum_test import (
    compute_stratum_excess,
    run_maximum_test,
    standardize_sums,
)


def _draw_groups(rng: np.random.Generator, count: int, is_equal: bool) -> np.ndarray:
    sizes = np.full(count, 6) if is_equal else np.maximum(1, rng.lognormal(1.5, 0.8, count))
    return np.repeat(np.arange(count), np.rint(sizes).astype(int))


def _draw_masks(rng: np.random.Generator, groups: np.ndarray) -> np.ndarray:
    """Return tails of attributes that are shared by groups, partly shared, or of single images."""
    rows = []
    for share in (1.0, 0.8, 0.4, 0.0) * 3:
        shared = rng.normal(size=groups.max() + 1)[groups]
        values = np.sqrt(share) * shared + np.sqrt(1 - share) * rng.normal(size=len(groups))
        for quantile in (0.05, 0.1, 0.2, 0.4):
            rows.append(values <= np.quantile(values, quantile))
            rows.append(values >= np.quantile(values, 1 - quantile))
    return np.array(rows)


def _draw_errors(rng: np.random.Generator, groups: np.ndarray, classes: np.ndarray) -> np.ndarray:
    by_group = rng.normal(0, 1.2, groups.max() + 1)[groups]
    return 1 / (1 + np.exp(-(np.array([-2.5, -1.5])[classes] + by_group)))


def _test_family(
    seed: int, is_equal: bool, is_mixed: bool, excess: float = 0.0
) -> tuple[float, int]:
    """Return the smallest p-value of a family, and the candidate that has it."""
    rng = np.random.default_rng(seed)
    groups = _draw_groups(rng, 80, is_equal)
    classes = (rng.random(len(groups) if is_mixed else 80) < 0.4).astype(int)
    classes = classes if is_mixed else classes[groups]
    masks = _draw_masks(rng, groups)
    chances = _draw_errors(rng, groups, classes) + excess * masks[10]
    errors = (rng.random(len(groups)) < chances).astype(float)
    family = sparse.csr_array(masks, dtype=np.float32)
    test = run_maximum_test(family, errors, classes, groups, 99, seed)
    best = int(np.argmax(test.scores))
    return float(test.compute_p_values(test.scores)[best]), best


@pytest.mark.parametrize("is_equal", [True, False])
@pytest.mark.parametrize("is_mixed", [True, False])
def test_without_an_effect_a_family_is_rarely_significant(is_equal: bool, is_mixed: bool) -> None:
    p_values = [_test_family(seed, is_equal, is_mixed)[0] for seed in range(120)]
    # 13 of 120 or more have a probability of 1 % at a level of 5 %
    assert sum(p <= 0.05 for p in p_values) < 13
    assert np.mean(p_values) > 0.4


def test_a_planted_candidate_is_the_significant_one() -> None:
    results = [_test_family(seed, False, True, 0.5) for seed in range(20)]
    hits = [best in (8, 10, 12) for p, best in results if p <= 0.05]
    assert len(hits) >= 16
    assert np.mean(hits) >= 0.9


def test_a_strong_effect_does_not_hide_itself() -> None:
    sums = np.random.default_rng(0).normal(size=(1, 200))
    sums[0, 0] = 40.0
    scores, deviations = standardize_sums(sums)
    assert scores[0, 0] > 20
    assert deviations[0] > 1


def test_skewed_sums_get_scores_that_are_about_normal() -> None:
    sums = np.random.default_rng(0).gamma(1.0, 1.0, (50, 2000))
    scores, _ = standardize_sums(sums)
    tail = (scores > 2.326).mean()
    assert 0.006 < tail < 0.014


def test_a_candidate_without_deviation_has_no_score() -> None:
    scores, deviations = standardize_sums(np.zeros((2, 9)))
    assert scores.tolist() == np.zeros((2, 9)).tolist()
    assert deviations.tolist() == [0, 0]


def test_p_values_count_the_draws_that_reach_a_score() -> None:
    masks = sparse.csr_array(np.eye(4, dtype=np.float32))
    test = run_maximum_test(masks, np.array([1.0, 0, 0, 0]), np.zeros(4, int), np.arange(4), 49, 0)
    p_values = test.compute_p_values(np.array([np.inf, -np.inf]))
    assert p_values.tolist() == [1 / 50, 1.0]


def test_the_excess_is_taken_within_strata() -> None:
    outcomes = np.array([[1.0, 0], [0, 0], [1, 1], [1, 0]])
    excess = compute_stratum_excess(outcomes, np.array([0, 0, 1, 1]))
    assert excess.tolist() == [[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]]
