"""Temperature scaling: how sure the model may say it is."""

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
)  # a few images, all answered correctly, would ask for absolute zero


def compute_negative_log_likelihood(
    logits: FloatArray, labels: NDArray[np.integer[Any]], temperature: float = 1.0
) -> float:
    """Mean -log probability (nats) of class indices [n] under logits [n, classes]."""
    log_p = log_softmax(np.asarray(logits, np.float64) / temperature, axis=1)
    return float(-log_p[np.arange(len(labels)), labels].mean())


def fit_temperature(logits: FloatArray, labels: NDArray[np.integer[Any]]) -> float:
    """The temperature that makes class indices [n] likeliest, within [0.25, 10]; 1.0 without images.

    Source: Guo et al. 2017, On calibration of modern neural networks.
    """
    if not len(labels):
        return 1.0
    found = minimize_scalar(
        lambda log_t: compute_negative_log_likelihood(logits, labels, float(np.exp(log_t))),
        bounds=(np.log(MINIMUM_TEMPERATURE), np.log(MAXIMUM_TEMPERATURE)),
        method="bounded",
    )
    return float(np.exp(found.x))
