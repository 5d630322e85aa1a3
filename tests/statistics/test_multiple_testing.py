from collections.abc import Callable

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from pipeline.statistics.multiple_testing import adjust_benjamini_hochberg, adjust_holm


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
