"""Probability that a subset loses, from a hierarchical model over all subsets of its kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
SPREAD_SCALE = 0.1
"""Scale of the half-normal prior of the spread between subsets: most changes of a class differ from
those of others by less than 20 points."""
SPREAD_GRID_SIZE = 60
PRIOR_GROUPS = 4.0
"""Groups that the common variance counts for beside a subset's own: a subset of one group has no
variance of its own, and one of three hardly any."""


@dataclass(frozen=True)
class PooledChanges:
    """Changes of several subsets, each drawn towards the others as far as its groups are few.

    Attributes:
        means: posterior means, float64 [subsets].
        loss_probabilities: posterior probability of a loss beyond the margin, float64 [subsets].
    """

    means: Floats
    loss_probabilities: Floats


def moderate_variances(variances: Floats, group_counts: Floats) -> Floats:
    """Return variances of means [subsets], moderated by the variance that all groups share.

    Args:
        variances: variance of each mean, NaN if a subset has one group, float64 [subsets].
        group_counts: number of groups of each subset, [subsets].

    Returns:
        Variances of means, all known and above zero.

    >>> moderate_variances(np.array([0.01, np.nan]), np.array([5.0, 1.0])).round(3).tolist()
    [0.01, 0.05]
    """
    degrees = np.where(np.isnan(variances), 0.0, np.maximum(group_counts - 1, 0.0))
    by_group = np.where(np.isnan(variances), 0.0, variances) * group_counts
    floor = 1e-6
    common = max(float((degrees * by_group).sum() / max(degrees.sum(), 1.0)), floor)
    moderated = (PRIOR_GROUPS * common + degrees * by_group) / (PRIOR_GROUPS + degrees)
    return np.asarray(np.maximum(moderated, floor) / np.maximum(group_counts, 1.0))


def pool_changes(means: Floats, variances: Floats, margin: float) -> PooledChanges:
    """Return the changes of subsets under a normal hierarchical model.

    The spread between subsets is not estimated but averaged over, since two classes do not show it.

    Source: Gelman et al. 2013, Bayesian Data Analysis, section 5.4; Gelman 2006 for the prior.

    Args:
        means: observed change of each subset, float64 [subsets].
        variances: variance of each of these means, float64 [subsets].
        margin: loss that does not count, as a share.

    >>> alike = pool_changes(np.array([0.0, 0.02]), np.array([1e-3, 1e-3]), 0.03)
    >>> trade = pool_changes(np.array([0.2, -0.1]), np.array([1e-3, 1e-3]), 0.03)
    >>> bool(alike.loss_probabilities[0] < 0.2), bool(trade.loss_probabilities[1] > 0.9)
    (True, True)
    """
    quantiles = (np.arange(SPREAD_GRID_SIZE) + 0.5) / SPREAD_GRID_SIZE
    spreads = SPREAD_SCALE * stats.halfnorm.ppf(quantiles)[:, None]
    precisions = 1 / (variances + spreads**2)
    total = precisions.sum(axis=1, keepdims=True)
    centers = (precisions * means).sum(axis=1, keepdims=True) / total
    log_likelihood = 0.5 * (
        np.log(precisions).sum(axis=1)
        - np.log(total[:, 0])
        - (precisions * (means - centers) ** 2).sum(axis=1)
    )
    grid_weights = np.exp(log_likelihood - log_likelihood.max())
    grid_weights /= grid_weights.sum()
    kept = spreads**2 * precisions  # share of the own observation in the posterior mean
    posterior_means = kept * means + (1 - kept) * centers
    posterior_variances = kept * variances + (1 - kept) ** 2 / total
    losses = stats.norm.cdf((-margin - posterior_means) / np.sqrt(posterior_variances))
    return PooledChanges(grid_weights @ posterior_means, grid_weights @ losses)
