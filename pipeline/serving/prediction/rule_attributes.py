"""Attributes of an arriving image, measured on its reduced copy if that decides every rule.

A JPEG is decoded at a reduced size for the model. To decode it again at its full size costs more
than the model. Measured on two cores with the packaged network at 64 px as ONNX, in milliseconds
for one image; every eighth is dark:

    rule                  side of the image   reduced copy first   always full size
    luminance                      240 px                 0.72               0.84
    luminance                    1,280 px                 1.1                4.9
    luminance                    4,032 px                 7.6               21.6
    luminance and tilt             240 px                 1.1                1.6
    luminance and tilt           1,280 px                 3.2               11.3
    luminance and tilt           4,032 px                10.0               30.7
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import (
    DecodedImage,
    get_reduction_tolerance,
    list_attributes,
    load_measures,
)
from pipeline.data.reading.file_attributes import PIXEL_SOURCES, shrink_image
from pipeline.data.reading.image_decoding import ImageHeader
from pipeline.domain.rules import Condition, Rule
from pipeline.slices.comparison.comparison_inputs import LUMINANCE_ATTRIBUTE
from pipeline.stages import measure

# Longer side of the copy on which a larger image is measured: the default of the stage `measure`.
MAX_MEASURED_SIDE = measure.Config.model_validate({}).max_side
Pixels = NDArray[np.uint8]
AttributeFunctions = Mapping[str, Callable[[DecodedImage], float]]


def _measure_attributes(
    functions: AttributeFunctions, pixels: Pixels, header: ImageHeader, captured_at: datetime | None
) -> dict[str, float]:
    if not functions:
        return {}
    small = shrink_image(pixels, MAX_MEASURED_SIDE)
    image = DecodedImage(small, captured_at, header.width, header.height)
    return {name: float(function(image)) for name, function in functions.items()}


class RuleAttributes:
    """The attributes that rules, rows and the decline rule need.

    The full-size image is decoded only if the reduced copy leaves a rule undecided, or if a row
    shows an attribute of the pixels.
    """

    def __init__(
        self, rules: Sequence[Rule], row_attributes: Sequence[str], min_luminance: float | None
    ) -> None:
        """Choose the attributes to measure.

        Args:
            rules: image rules of the slices. A rule with a similarity condition admits no arriving
                image, so nothing is measured for it.
            row_attributes: attributes that the rows show.
            min_luminance: luminance below which every image is declined; None for no limit.
        """
        self._condition_sets = [
            rule.conditions for rule in rules if not rule.has_similarity_condition
        ]
        if min_luminance is not None:
            self._condition_sets.append((Condition(LUMINANCE_ATTRIBUTE, ">=", min_luminance),))
        names = set(row_attributes)
        for conditions in self._condition_sets:
            names.update([condition.column for condition in conditions])
        self._functions: dict[str, Callable[[DecodedImage], float]] = {}
        self._reduced_functions: dict[str, Callable[[DecodedImage], float]] = {}
        self._tolerances: dict[str, float] = {}
        pixel_names = list_attributes(PIXEL_SOURCES)
        for name, function in load_measures().items():
            if name not in names:
                continue
            self._functions[name] = function
            tolerance = get_reduction_tolerance(name) if name in pixel_names else None
            if tolerance is not None:
                self._tolerances[name] = tolerance
            if tolerance is not None or name not in pixel_names:
                self._reduced_functions[name] = function
        self._is_full_size_shown = not set(row_attributes).isdisjoint(pixel_names)

    def measure_values(
        self,
        pixels: Pixels,
        header: ImageHeader,
        captured_at: datetime | None,
        decode_full_size: Callable[[], Pixels] | None = None,
    ) -> dict[str, float]:
        """Return the attributes of an image, NaN if unknown.

        Attributes that change no rule's result for this image may be missing.

        Args:
            pixels: uint8 [H, W, 3], RGB: the full-size image or a reduced copy.
            header: header of the stored image.
            captured_at: capture time, None if unknown.
            decode_full_size: returns the full-size pixels; None if `pixels` are those.
        """
        if decode_full_size is None:
            return _measure_attributes(self._functions, pixels, header, captured_at)
        if not self._is_full_size_shown:
            values = _measure_attributes(self._reduced_functions, pixels, header, captured_at)
            if not any(map(partial(self._is_undecided, values), self._condition_sets)):
                return values
        return _measure_attributes(self._functions, decode_full_size(), header, captured_at)

    def _is_undecided(
        self, reduced_values: Mapping[str, float], conditions: Sequence[Condition]
    ) -> bool:
        """Return whether a rule needs the full-size image: no condition fails, and one is open."""
        results = list(map(partial(self._check_condition, reduced_values), conditions))
        return None in results and False not in results

    def _check_condition(
        self, reduced_values: Mapping[str, float], condition: Condition
    ) -> bool | None:
        """Return whether a condition holds by the values of a reduced copy, None if it is open."""
        name = condition.column
        if name not in self._functions:
            return True  # a metadata column, which the rule checks later
        if name not in reduced_values:
            return None
        value = reduced_values[name]
        tolerance = self._tolerances.get(name)
        # Written so that an unknown value (NaN) of the pixels leaves the condition open.
        if tolerance is not None and not condition.measure_limit_distance(value) > tolerance:
            return None
        return bool(condition.is_met_by(value))
