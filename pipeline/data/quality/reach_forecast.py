"""What the sealed test set holds of each kind of image that is known at the split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.data.quality.split_strata import HOURS_PER_STRATUM, TIME_OF_DAY, list_strata
from pipeline.statistics.test_power import compute_detectable_gain

LABEL_COLUMN = "label"


@dataclass(frozen=True)
class ReachForecast:
    """Test images of one kind, and the gain that they could show if a slice of them failed.

    Attributes:
        column: a property of the images: label, a metadata column, or the time of day.
        value: its value; of the time of day the hours, such as "18 to 24 h".
        images: test images of this kind.
        groups: their groups.
        known_groups: groups of this kind in all splits.
        detectable: smallest gain that they show with a power of 80 %, as a share; None if none.
    """

    column: str
    value: str
    images: int
    groups: int
    known_groups: int
    detectable: float | None

    @property
    def name(self) -> str:
        """Return column and value, as in `camera = east`."""
        return f"{self.column} = {self.value}"

    def build_record(self) -> dict[str, Any]:
        """Return the forecast as JSON."""
        return {**vars(self)}


def forecast_reach(images: pd.DataFrame, splits: pd.Series[str]) -> list[ReachForecast]:
    """Return what the test holds of each class, camera and time of day, by column and value.

    No model is used: labels and metadata of test images alone are counted.

    Args:
        images: the artifact of that name.
        splits: split of each image, rows as in `images`.
    """
    kinds = list_strata(images)
    if LABEL_COLUMN not in kinds:
        kinds.insert(0, LABEL_COLUMN, images[LABEL_COLUMN])
    is_test = (splits == "test").to_numpy()
    forecasts = []
    for column in kinds:
        values = kinds[column].to_numpy()
        for value in sorted(set(kinds[column].dropna()), key=str):
            is_kind = values == value
            groups = int(images.loc[is_kind & is_test, "group"].nunique())
            forecasts.append(
                ReachForecast(
                    str(column),
                    _name_hours(value) if column == TIME_OF_DAY else str(value),
                    int((is_kind & is_test).sum()),
                    groups,
                    int(images.loc[is_kind, "group"].nunique()),
                    compute_detectable_gain(groups),
                )
            )
    return forecasts


def _name_hours(quarter: str) -> str:
    """Return the hours of a quarter of the day."""
    start = int(float(quarter)) * HOURS_PER_STRATUM
    return f"{start} to {start + HOURS_PER_STRATUM} h"
