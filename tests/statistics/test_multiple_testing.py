from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from pipeline.statistics.multiple_testing import (
    adjust_benjamini_hochberg,
    adjust_holm,
    combine_simes,
)


def test_benjamini_hochberg_by_hand() -> None:
    np.testing.assert_allclose(
        adjust_benjamini_hochberg([0.01, 0.04, 0.03, 0.5]), [0.04, 0.16 / 3, 0.16 / 3, 0.5]
    )


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(adjust_holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])


@pytest.mark.parametrize(
    ("adjust", "method"), [(adjust_holm, "holm"), (adjust_benjamini_hochberg, "fdr_bh")]
)
def test_the_same_as_statsmodels(adjust: Callable[[np.ndarray], np.ndarray], method: str) -> None:
    p = np.random.default_rng(0).random(50) ** 3
    p[:5] = p[5]
    np.testing.assert_allclose(adjust(p), multipletests(p, method=method)[1])


def test_what_was_not_tested_stays_so_and_costs_nothing() -> None:
    q = adjust_benjamini_hochberg([0.02, None, float("nan")])
    assert q[0] == 0.02
    assert np.isnan(q[1:]).all()
    assert len(adjust_holm([])) == 0


def test_one_p_value_of_many_holds_its_level_without_an_effect() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(4000, 1))
    p_values = stats.norm.sf(0.7 * shared + 0.71 * rng.normal(size=(4000, 4)))
    combined = np.array([combine_simes(row) for row in p_values])
    assert (combined <= 0.05).mean() <= 0.058
    assert combine_simes([None, float("nan")]) is None
    assert combine_simes([0.2, None]) == 0.2
