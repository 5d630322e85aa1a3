"""What the rules ask of a photo, measured no dearer than their answers need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import Shot, functions, names, slack
from pipeline.datasets.picture import Header
from pipeline.slicing.case import LIGHT
from pipeline.slicing.rules import Condition, Rule
from pipeline.stages import measure

MAX_SIDE = measure.Config.model_validate({}).max_side
Pixels = NDArray[np.uint8]
Functions = Mapping[str, Callable[[Shot], float]]


def _measured(chosen: Functions, pixels: Pixels, head: Header, taken: datetime | None) -> dict[str, float]:
    if not chosen:
        return {}
    shot = Shot(measure.reduced(pixels, MAX_SIDE), taken, head.width, head.height)
    return {name: float(function(shot)) for name, function in chosen.items()}


class Measures:
    """The attributes that rules, rows and the least light ask for.

    Where the model's own decode is a reduced one, that is measured as far as its values are near enough (`slack`); the
    photo at its stored size only where some rule is then still open, or a row is to show what the picture measures.
    """

    def __init__(self, rules: Sequence[Rule], shown: Sequence[str], least: float | None) -> None:
        """shown: attributes of the rows. least: light below which nobody is answered. A rule on looks admits nobody
        where photos arrive, so nothing is measured for it."""
        light = [] if least is None else [(Condition(LIGHT, ">=", least),)]
        self._asked = [*light, *(rule.conditions for rule in rules if not rule.by_looks)]
        wanted = {c.column for conditions in self._asked for c in conditions} | set(shown)
        self._all = {name: function for name, function in functions().items() if name in wanted}
        self._slack = {name: slack(name) for name in names(measure.PICTURE) if name in self._all}
        self._rough = {name: function for name, function in self._all.items() if self._slack.get(name, 0.0) is not None}
        dear = self._all.keys() - self._rough.keys()
        alone = any(conditions and all(c.column in dear for c in conditions) for conditions in self._asked)
        self._always = alone or not self._slack.keys().isdisjoint(shown)

    def values(
        self, pixels: Pixels, head: Header, taken: datetime | None, whole: Callable[[], Pixels] | None = None
    ) -> dict[str, float]:
        """By attribute, NaN where unknown; without those that change no rule's answer here.

        pixels: uint8 [H, W, 3] RGB. whole: decodes the photo at its stored size, where `pixels` are a reduced decode.
        """
        if whole is None:
            return _measured(self._all, pixels, head, taken)
        rough = {} if self._always else _measured(self._rough, pixels, head, taken)
        if self._always or any(self._open(conditions, rough) for conditions in self._asked):
            return _measured(self._all, whole(), head, taken)
        return rough

    def _open(self, conditions: Sequence[Condition], rough: Mapping[str, float]) -> bool:
        """Whether it takes the photo at its stored size to tell that all of them hold."""
        told = [self._holds(c, rough) for c in conditions]
        return None in told and False not in told

    def _holds(self, condition: Condition, rough: Mapping[str, float]) -> bool | None:
        """By values of a reduced decode; None where they are too near a limit to tell."""
        name = condition.column
        if name not in self._all:
            return True  # a column that comes with the photo: asked with all the others
        near = self._slack.get(name)
        if name not in rough or (near is not None and not condition.away(rough[name]) > near):
            return None
        return bool(condition.holds(rough[name]))
