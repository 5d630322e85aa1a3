"""One test of a whole family of candidate subsets: the permutation distribution of the maximum.

Source: Westfall and Young 1993, Resampling-Based Multiple Testing, single-step maxT. The sum of the
excess in each candidate is standardized by the mean, deviation and skewness that it has over the
permutations, so that small and large candidates are comparable. The skewness is removed by the
transformation of Wilson and Hilferty (1931). The observed outcomes are treated as each permutation
is, which makes the test exact where outcomes are exchangeable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pipeline.statistics.families.outcome_permutations import permute_outcomes

Floats = NDArray[np.float64]
AnyFloats = NDArray[np.floating[Any]]
# Candidates at a time: their sums, a column a draw, stay in the cache of the processor.
CHUNK_CANDIDATES = 512
# Skewness below which no correction is needed; it also keeps the transformation finite.
MIN_SKEWNESS = 1e-2
MIN_VARIANCE = 1e-9


@dataclass(frozen=True)
class MaximumTest:
    """The test of a family.

    Attributes:
        scores: float64 [candidates], standardized excess; about normal without an effect.
        sums: float64 [candidates], excess summed over the images of each candidate.
        deviations: float64 [candidates], standard deviation of the sum over permutations.
        null_maxima: float64 [draws], the largest score of the family in each permutation.
    """

    scores: Floats
    sums: Floats
    deviations: Floats
    null_maxima: Floats

    def compute_p_values(self, scores: Floats) -> Floats:
        """Return the family-wise p-value of each score."""
        ordered = np.sort(self.null_maxima)
        reaching = len(ordered) - np.searchsorted(ordered, scores, "left")
        return np.asarray((1 + reaching) / (1 + len(ordered)))


def compute_stratum_excess(outcomes: AnyFloats, strata: NDArray[np.intp]) -> AnyFloats:
    """Return float [n, columns]: each outcome less the mean of its stratum in its column.

    >>> compute_stratum_excess(np.array([[1.0], [0.0], [1.0]]), np.array([0, 0, 1])).tolist()
    [[0.5], [-0.5], [0.0]]
    """
    count = int(strata.max(initial=0)) + 1
    ones = np.ones(len(strata), outcomes.dtype)
    indicator = sparse.csr_array((ones, (strata, np.arange(len(strata)))), (count, len(strata)))
    sizes = np.maximum(np.bincount(strata, minlength=count), 1)
    means = (indicator @ outcomes) / sizes[:, None]
    return np.asarray(outcomes - means.astype(outcomes.dtype)[strata])


def standardize_sums(sums: AnyFloats) -> tuple[AnyFloats, AnyFloats]:
    """Return the scores of sums [candidates, permutations], and their deviations [candidates].

    Each sum is standardized by the moments of the other permutations: with its own among them, a
    strong effect would hide itself. A candidate without deviation has the score 0.
    """
    count = sums.shape[1] - 1
    centered = sums - sums.mean(1, keepdims=True)
    squares = centered * centered
    cubes = squares * centered
    means = centered / -count
    mean_squares = (squares.sum(1, keepdims=True) - squares) / count
    mean_cubes = (cubes.sum(1, keepdims=True) - cubes) / count
    variances = mean_squares - means * means
    is_constant = variances <= MIN_VARIANCE
    deviations = np.sqrt(np.where(is_constant, 1.0, variances))
    third_moments = mean_cubes - 3 * means * mean_squares + 2 * means * means * means
    scores = np.where(is_constant, 0.0, (centered - means) / deviations)
    skewness = np.where(is_constant, 0.0, third_moments / (deviations * deviations * deviations))
    is_skewed = np.abs(skewness) > MIN_SKEWNESS
    skewness = np.where(is_skewed, skewness, 1.0)
    corrected = 6 / skewness * (np.cbrt(1 + skewness / 2 * scores) - 1) + skewness / 6
    return np.where(is_skewed, corrected, scores), np.sqrt(squares.mean(1))


def run_maximum_test(
    masks: sparse.csr_array,
    outcomes: Floats,
    strata: NDArray[np.intp],
    groups: NDArray[np.intp],
    draws: int = 499,
    seed: int = 0,
) -> MaximumTest:
    """Test whether outcomes are higher in any candidate than elsewhere in its strata.

    Args:
        masks: float32 [candidates, n], 1 for the images of a candidate.
        outcomes: float64 [n], 0 or 1, or a cost.
        strata: intp [n], 0.. ; the class, or finer.
        groups: intp [n], 0.. ; outcomes are permuted by whole groups within the strata.
        draws: number of permutations.
        seed: seed of the permutations.
    """
    columns = np.empty((len(outcomes), draws + 1), np.float32)
    columns[:, 0] = outcomes
    for draw, permuted in enumerate(permute_outcomes(outcomes, strata, groups, draws, seed), 1):
        columns[:, draw] = permuted
    excess = compute_stratum_excess(columns, strata)
    count = masks.shape[0]
    scores, sums, deviations = np.zeros(count), np.zeros(count), np.zeros(count)
    maxima = np.full(draws, -np.inf)
    for start in range(0, count, CHUNK_CANDIDATES):
        chunk = slice(start, start + CHUNK_CANDIDATES)
        chunk_sums = masks[chunk] @ excess
        chunk_scores, deviations[chunk] = standardize_sums(chunk_sums)
        scores[chunk], sums[chunk] = chunk_scores[:, 0], chunk_sums[:, 0]
        maxima = np.maximum(maxima, chunk_scores[:, 1:].max(0))
    return MaximumTest(scores, sums, deviations, maxima)
