"""What can be done to a photo: as an intervention ("what would the model have needed?") and as an augmentation.

A plugin `pipeline/remedies/<name>.py` holds the function `<name>(low, high) -> albumentations.BasicTransform`,
applied always, its dose drawn between low and high (low == high: exactly that dose); the first line of its
docstring is the report's wording. Beside it:
DOSES: what is tried, in both directions where there are two; none where RENDERS (optional) names the remedy whose
doses, on the side of neutral that WORDS has words for, it renders as they come about in life: it takes that one's place
in training, or where it leaves photos as they are. NEUTRAL: the dose that changes nothing, None
where no dose does. FORMAT: an intervention in plain words, with `{dose}` (optional). MULTIPLIES: what the dose is a
factor of, for "twice the ..." (optional). WORDS: what a photo is that was
given a dose below and above NEUTRAL (the second where NEUTRAL is None; "" where none is: such doses repair only).
ORDERED: the effect grows with the distance from NEUTRAL. CAUSE: something that befalls photos, as against a
normaliser. CHANGES_LABEL: what the photo shows may become another class. `inverse(dose)`: the dose that
undoes it, None where nothing does.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else the import asks the network for the newest version

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import plugins

Pixels = NDArray[np.uint8]
FACTORS = {0.25: "a quarter of", 0.5: "half", 2.0: "twice"}
Change = Callable[[Pixels, float, np.random.Generator], Pixels]
"""Our own transform: (photo uint8 [H, W, 3], dose, generator) to a new photo of the same shape."""


def dosed(change: Change, low: float, high: float, *, log: bool = False) -> A.BasicTransform:
    """A transform that hands `change` a dose uniform in [low, high], or log-uniform.

    For what albumentations 2.0.8 has only inexactly: it cuts the fractions of grey levels off instead of
    rounding them, which darkens the photo and alters it at the neutral dose. Raises `ValueError` for a bad range.
    """
    if not low <= high or (log and low <= 0):
        raise ValueError(f"doses must be {'positive and ' if log else ''}in order, got {low} to {high}")

    def apply(photo: Pixels, **_: object) -> Pixels:
        dose = low
        if low < high:
            draw = transform.py_random.uniform
            dose = math.exp(draw(math.log(low), math.log(high))) if log else draw(low, high)
        return change(photo, dose, transform.random_generator)

    transform = A.Lambda(image=apply, name=getattr(change, "__name__", "change"), p=1.0)
    return transform


def look_up(photo: Pixels, levels: NDArray[np.floating]) -> Pixels:
    """Replace each value v by levels[v], rounded and clipped; levels: [256], or [256, 3] for a table a channel."""
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8).reshape(256, 1, -1)
    return np.asarray(cv2.LUT(photo, table), dtype=np.uint8)


def treat(name: str, pixels: Pixels, low: float, high: float, seed: int) -> Pixels:
    """Give each photo the remedy at a dose of its own draw from [low, high].

    pixels: uint8 [N, S, S, 3], left as it is; returns the same shape. Decided by its arguments alone: the same
    seed gives the same result whatever ran before. Raises `KeyError` for an unknown remedy, `ValueError` for a
    dose that it does not know.
    """
    pipeline = A.Compose([plugins.load("remedies", name)(low, high)], seed=seed, strict=True)
    treated = np.empty(pixels.shape, dtype=np.uint8)
    for row, photo in enumerate(pixels):
        treated[row] = pipeline(image=np.ascontiguousarray(photo))["image"]
    return treated


def interventions() -> list[tuple[str, float]]:
    """Every registered remedy with each of its doses, in the order of the list."""
    doses = {name: plugins.module("remedies", name).DOSES for name in plugins.names("remedies")}
    return [(name, float(dose)) for name in doses for dose in doses[name]]


def rendering(name: str, low: float, high: float) -> str:
    """The remedy that stands in for `name` in training at doses between low and high: itself where none RENDERS it."""
    for other in plugins.names("remedies"):
        plugin = plugins.module("remedies", other)
        if getattr(plugin, "RENDERS", None) == name:
            sides = {high <= plugin.NEUTRAL: plugin.WORDS[0], low >= plugin.NEUTRAL: plugin.WORDS[1]}
            if sides.get(True):
                return other
    return name


def describe(name: str, dose: float) -> str:
    """An intervention in plain words, such as "exposure x2", "rotated by 20 degrees" or "mirrored"."""
    text: str = getattr(plugins.module("remedies", name), "FORMAT", f"{name} {{dose:.3g}}")
    return text.format(dose=dose)


def spoken(name: str, dose: float) -> str:
    """`describe` as one says it: "twice the exposure", "half the contrast", "1.5 times the exposure"."""
    what = getattr(plugins.module("remedies", name), "MULTIPLIES", None)
    if what is None:
        return describe(name, dose)
    return f"{FACTORS.get(dose, f'{dose:.3g} times')} the {what}"
