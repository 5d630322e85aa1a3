"""Results of the probe: what interventions did to a sample of the validation images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ProbeMeasurements:
    """Predictions after interventions on a sample of the validation images.

    Attributes:
        image_ids: str [probed].
        weights: float64 [probed], number of validation images that each one represents.
        responses: int16 [probed, interventions], class index predicted after the intervention.
    """

    image_ids: Sequence[str]
    weights: FloatArray
    responses: NDArray[np.int16]

    @classmethod
    def build_empty(cls) -> ProbeMeasurements:
        """Return the measurements of a probe without images and interventions."""
        return cls([], np.zeros(0), np.zeros((0, 0), np.int16))


@dataclass(frozen=True)
class ProbeResults:
    """The probe's measurements as correct or not. All arrays have one row for each probed image.

    Attributes:
        correct: bool [probed], whether the prediction was correct before any intervention.
        after: bool [probed, interventions], whether it is correct after each intervention.
        margin: float64 [probed], logit of the label less the best other logit.
        groups: intp [probed], code of the group of each image.
        weights: float64 [probed], number of validation images that each one represents.
    """

    correct: BoolArray
    after: BoolArray
    margin: FloatArray
    groups: NDArray[np.intp]
    weights: FloatArray

    @property
    def change(self) -> FloatArray:
        """Return float64 [probed, interventions]: correct after less correct before, -1, 0 or 1."""
        return np.asarray(self.after.astype(float) - self.correct[:, None])

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
        )
