"""Error rates inside and outside a subset, by class, for images without groups.

Single images could also be permuted as groups of one. Measured with errors that depend on the class
alone (3,000 draws of each of five small settings, 150 to 2,000 images of 3 to 20 classes): this
test, with its continuity correction, alarms in 2.7 to 4.2 % at level .05, .5 to .9 % at .01 and
.07 to .27 % at .002. Without the correction it alarms in up to 5.6, 1.6 and .67 %, which is too
much where corrections for multiple testing decide. With 20 points planted (250 draws, 400 images
of 6 classes) it finds 83, 65 and 47 % at these levels and 42 % at .001; the permutation of images
finds 86, 66, 46 and 35 %. Its p-values are not limited by the number of draws, and it takes a
fiftieth of the time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable

Mask = NDArray[np.bool_]


def build_contingency_tables(
    is_misclassified: Mask, strata: NDArray[np.intp], inside: Mask
) -> NDArray[np.float64]:
    """Return the 2 x 2 tables of all informative strata, float64 [tables, 2, 2].

    Rows are inside and outside, columns misclassified and correct. A stratum is informative if no
    row and no column is empty.

    Args:
        is_misclassified: bool [n].
        strata: the stratum of each image, 0.., [n].
        inside: whether an image is inside, bool [n].
    """
    cell = strata * 4 + 2 * ~inside + ~is_misclassified
    tables = (
        np.bincount(cell, minlength=4 * (int(strata.max(initial=0)) + 1))
        .reshape(-1, 2, 2)
        .astype(np.float64)
    )
    return np.asarray(tables[(tables.sum(1) > 0).all(1) & (tables.sum(2) > 0).all(1)])


def compare_error_rates(
    is_misclassified: Mask, strata: NDArray[np.intp], inside: Mask
) -> tuple[float, float]:
    """Return the signed statistic and one-sided p-value of a higher error rate inside.

    Source: Cochran 1954, and Mantel and Haenszel 1959, with continuity correction (statsmodels).
    A single stratum gets Fisher's exact test (scipy).

    Args:
        is_misclassified: bool [n].
        strata: the stratum of each image, 0.., [n]; images are compared within strata.
        inside: whether an image is inside, bool [n].

    Returns:
        (0, 1) if no stratum is informative.

    >>> misclassified = np.array([True] * 8 + [False] * 2 + [True] * 2 + [False] * 8)
    >>> inside = np.arange(20) < 10
    >>> statistic, p = compare_error_rates(misclassified, np.zeros(20, int), inside)
    >>> round(p, 4)
    0.0115
    """
    tables = build_contingency_tables(is_misclassified, strata, inside)
    if not len(tables):
        return 0.0, 1.0
    total = tables.sum((1, 2))
    more = float((tables[:, 0, 0] - tables[:, 0].sum(1) * tables[:, :, 0].sum(1) / total).sum())
    test = StratifiedTable(list(tables)).test_null_odds(correction=True)
    statistic = float(np.sign(more) * np.sqrt(test.statistic))
    if len(tables) == 1:
        return statistic, float(stats.fisher_exact(tables[0], alternative="greater").pvalue)
    return statistic, float(stats.norm.sf(statistic))
