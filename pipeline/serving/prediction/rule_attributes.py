"""What the rules ask of a image, measured no dearer than their answers need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import (
    DecodedImage,
    get_reduction_tolerance,
    list_attributes,
    load_measures,
)
from pipeline.data.reading.image_decoding import ImageHeader
from pipeline.domain.rules import Condition, Rule
from pipeline.slices.prescription.comparison_inputs import LUMINANCE_ATTRIBUTE
from pipeline.stages import measure

MAX_MEASURED_SIDE = measure.Config.model_validate({}).max_side
Pixels = NDArray[np.uint8]
AttributeFunctions = Mapping[str, Callable[[DecodedImage], float]]


def _measure_attributes(
    attribute_functions: AttributeFunctions,
    pixels: Pixels,
    header: ImageHeader,
    captured_at: datetime | None,
) -> dict[str, float]:
    if not attribute_functions:
        return {}
    shot = DecodedImage(
        measure.shrink_image(pixels, MAX_MEASURED_SIDE), captured_at, header.width, header.height
    )
    return {name: float(function(shot)) for name, function in attribute_functions.items()}


class RuleAttributes:
    """The attributes that rules, rows and the least light ask for.

    Where the model's own decode is a reduced one, that is measured as far as its values are near enough (`slack`); the
    image at its stored size only where some rule is then still open, or a row is to show what the picture measures.
    """

    def __init__(
        self, rules: Sequence[Rule], row_attributes: Sequence[str], min_luminance: float | None
    ) -> None:
        """shown: attributes of the rows. least: light below which nobody is answered. A rule on looks admits nobody
        where images arrive, so nothing is measured for it."""
        light = (
            []
            if min_luminance is None
            else [(Condition(LUMINANCE_ATTRIBUTE, ">=", min_luminance),)]
        )
        self._condition_sets = [
            *light,
            *(rule.conditions for rule in rules if not rule.has_similarity_condition),
        ]
        wanted = {c.column for conditions in self._condition_sets for c in conditions} | set(
            row_attributes
        )
        self._functions = {
            name: function for name, function in load_measures().items() if name in wanted
        }
        self._tolerances = {
            name: get_reduction_tolerance(name)
            for name in list_attributes(measure.PIXEL_SOURCES)
            if name in self._functions
        }
        self._reduced_functions = {
            name: function
            for name, function in self._functions.items()
            if self._tolerances.get(name, 0.0) is not None
        }
        dear = self._functions.keys() - self._reduced_functions.keys()
        alone = any(
            conditions and all(c.column in dear for c in conditions)
            for conditions in self._condition_sets
        )
        self._is_full_size_required = alone or not self._tolerances.keys().isdisjoint(
            row_attributes
        )

    def measure_values(
        self,
        pixels: Pixels,
        header: ImageHeader,
        captured_at: datetime | None,
        decode_full_size: Callable[[], Pixels] | None = None,
    ) -> dict[str, float]:
        """By attribute, NaN where unknown; without those that change no rule's answer here.

        pixels: uint8 [H, W, 3] RGB. whole: decodes the image at its stored size, where `pixels` are a reduced decode.
        """
        if decode_full_size is None:
            return _measure_attributes(self._functions, pixels, header, captured_at)
        rough = (
            {}
            if self._is_full_size_required
            else _measure_attributes(self._reduced_functions, pixels, header, captured_at)
        )
        if self._is_full_size_required or any(
            self._is_undecided(conditions, rough) for conditions in self._condition_sets
        ):
            return _measure_attributes(self._functions, decode_full_size(), header, captured_at)
        return rough

    def _is_undecided(
        self, conditions: Sequence[Condition], reduced_values: Mapping[str, float]
    ) -> bool:
        """Whether it takes the image at its stored size to tell that all of them hold."""
        told = [self._check_condition(c, reduced_values) for c in conditions]
        return None in told and False not in told

    def _check_condition(
        self, condition: Condition, reduced_values: Mapping[str, float]
    ) -> bool | None:
        """By values of a reduced decode; None where they are too near a limit to tell."""
        name = condition.column
        if name not in self._functions:
            return True  # a column that comes with the image: asked with all the others
        near = self._tolerances.get(name)
        if name not in reduced_values or (
            near is not None and not condition.measure_limit_distance(reduced_values[name]) > near
        ):
            return None
        return bool(condition.is_met_by(reduced_values[name]))
