"""Calibration by temperature scaling."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

FloatArray = NDArray[np.floating[Any]]
MINIMUM_TEMPERATURE, MAXIMUM_TEMPERATURE = (
    0.25,
    10.0,
)  # a few images, all predicted correctly, would drive it to zero


def compute_image_losses(
    logits: FloatArray, labels: NDArray[np.integer[Any]], temperature: float = 1.0
) -> NDArray[np.float64]:
    """Return the negative log-likelihood of each image in nats, [n].

    Args:
        logits: [n, classes].
        labels: class indices, [n].
        temperature: divides the logits.
    """
    log_p = log_softmax(np.asarray(logits, np.float64) / temperature, axis=1)
    losses: NDArray[np.float64] = -log_p[np.arange(len(labels)), labels]
    return losses


def compute_negative_log_likelihood(
    logits: FloatArray, labels: NDArray[np.integer[Any]], temperature: float = 1.0
) -> float:
    """Return the mean negative log-likelihood in nats.

    Args:
        logits: [n, classes].
        labels: class indices, [n].
        temperature: divides the logits.
    """
    return float(compute_image_losses(logits, labels, temperature).mean())


def fit_temperature(logits: FloatArray, labels: NDArray[np.integer[Any]]) -> float:
    """Return the temperature that maximizes the likelihood of the labels; 1.0 without images.

    It is limited to [0.25, 10]: a few images, all predicted correctly, would call for zero.

    Source: Guo et al. 2017, On calibration of modern neural networks.

    >>> logits = np.array([[4.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 0.0]])
    >>> round(fit_temperature(logits, np.array([0, 0, 1, 1])), 1)
    3.6
    """
    if not len(labels):
        return 1.0
    optimum = minimize_scalar(
        lambda log_t: compute_negative_log_likelihood(logits, labels, float(np.exp(log_t))),
        bounds=(np.log(MINIMUM_TEMPERATURE), np.log(MAXIMUM_TEMPERATURE)),
        method="bounded",
    )
    return float(np.exp(optimum.x))
