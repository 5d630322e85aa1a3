"""Results of the probe: what interventions did to a sample of the validation images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
NOT_ASKED = -1
"""The response of an image on which an intervention was not tried."""


@dataclass(frozen=True)
class ProbeMeasurements:
    """Predictions after interventions on a sample of the validation images.

    Attributes:
        image_ids: str [probed].
        weights: float64 [probed], number of validation images that each one represents.
        screen_weights: float64 [probed], number of validation images that each one represents among
            the screened images, that every intervention was tried on; 0 for the others.
        responses: int16 [probed, interventions], class index predicted after the intervention;
            `NOT_ASKED` where it was not tried.
    """

    image_ids: Sequence[str]
    weights: FloatArray
    screen_weights: FloatArray
    responses: NDArray[np.int16]

    @classmethod
    def build_empty(cls) -> ProbeMeasurements:
        """Return the measurements of a probe without images and interventions."""
        return cls([], np.zeros(0), np.zeros(0), np.zeros((0, 0), np.int16))


def compute_cell_weights(
    responses: NDArray[np.int16], weights: FloatArray, screen_weights: FloatArray
) -> FloatArray:
    """Return the weight of each image among the images that an intervention was tried on.

    An intervention that was tried on all probed images has their weights, any other one the weights
    of the screened images.

    Args:
        responses: int16 [probed, interventions], see `ProbeMeasurements`, as the further arguments.
        weights: float64 [probed].
        screen_weights: float64 [probed].

    Returns:
        float64 [probed, interventions]; 0 where the intervention was not tried.
    """
    is_asked = np.asarray(responses) != NOT_ASKED
    by_column = np.where(is_asked.all(axis=0), weights[:, None], screen_weights[:, None])
    return np.asarray(by_column * is_asked, dtype=np.float64)


@dataclass(frozen=True)
class ProbeResults:
    """The probe's measurements as correct or not. All arrays have one row for each probed image.

    Attributes:
        correct: bool [probed], whether the prediction was correct before any intervention.
        after: bool [probed, interventions], whether it is correct after each intervention.
        margin: float64 [probed], logit of the label less the best other logit.
        groups: intp [probed], code of the group of each image.
        weights: float64 [probed], number of validation images that each one represents.
        cell_weights: float64 [probed, interventions], the same among the images on which the
            intervention was tried; 0 where it was not.
    """

    correct: BoolArray
    after: BoolArray
    margin: FloatArray
    groups: NDArray[np.intp]
    weights: FloatArray
    cell_weights: FloatArray

    @property
    def is_asked(self) -> BoolArray:
        """Return bool [probed, interventions]: whether the intervention was tried on the image."""
        return np.asarray(self.cell_weights > 0)

    @property
    def change(self) -> FloatArray:
        """Return float64 [probed, interventions]: correct after less correct before, -1, 0 or 1.

        It is NaN where the intervention was not tried.
        """
        change = self.after.astype(float) - self.correct[:, None]
        return np.where(self.is_asked, change, np.nan)

    def select_rows(self, rows: NDArray[np.intp] | BoolArray) -> ProbeResults:
        """Return the results of some probed images.

        Args:
            rows: indices, or bool [probed].
        """
        return ProbeResults(
            self.correct[rows],
            self.after[rows],
            self.margin[rows],
            self.groups[rows],
            self.weights[rows],
            self.cell_weights[rows],
        )
