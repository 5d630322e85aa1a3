"""What can be done to a image: as an intervention ("what would the model have needed?") and as an augmentation.

A plugin `pipeline/remedies/<name>.py` holds the function `<name>(low, high) -> albumentations.BasicTransform`,
applied always, its strength drawn between low and high (low == high: exactly that strength); the first line of its
docstring is the report's wording. Beside it:
DOSES: what is tried, in both directions where there are two; none where RENDERS (optional) names the remedy whose
strengths, on the side of neutral that WORDS has words for, it renders as they come about in life: it takes that one's place
in training, or where it leaves images as they are. NEUTRAL: the strength that changes nothing, None
where no strength does. FORMAT: an intervention in plain words, with `{strength}` (optional). MULTIPLIES: what the strength is a
factor of, for "twice the ..." (optional). WORDS: what a image is that was
given a strength below and above NEUTRAL (the second where NEUTRAL is None; "" where none is: such strengths repair only).
ORDERED: the effect grows with the distance from NEUTRAL. CAUSE: something that befalls images, as against a
normalizer. CHANGES_LABEL: what the image shows may become another class. `inverse(strength)`: the strength that
undoes it, None where nothing does.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable

os.environ["NO_ALBUMENTATIONS_UPDATE"] = (
    "1"  # else the import asks the network for the newest version
)

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import plugins

Pixels = NDArray[np.uint8]
FACTOR_WORDS = {0.25: "a quarter of", 0.5: "half", 2.0: "twice"}
StrengthTransform = Callable[[Pixels, float, np.random.Generator], Pixels]
"""Our own transform: (image uint8 [H, W, 3], strength, generator) to a new image of the same shape."""


def wrap_transform(
    transform_pixels: StrengthTransform, low: float, high: float, *, is_log_uniform: bool = False
) -> A.BasicTransform:
    """A transform that hands `change` a strength uniform in [low, high], or log-uniform.

    For what albumentations 2.0.8 has only inexactly: it cuts the fractions of gray levels off instead of
    rounding them, which darkens the image and alters it at the neutral strength. Raises `ValueError` for a bad range.
    """
    if not low <= high or (is_log_uniform and low <= 0):
        raise ValueError(
            f"strengths must be {'positive and ' if is_log_uniform else ''}in order, got {low} to {high}"
        )

    def apply(image: Pixels, **_: object) -> Pixels:
        strength = low
        if low < high:
            draw = transform.py_random.uniform
            strength = (
                math.exp(draw(math.log(low), math.log(high))) if is_log_uniform else draw(low, high)
            )
        return transform_pixels(image, strength, transform.random_generator)

    transform = A.Lambda(image=apply, name=getattr(transform_pixels, "__name__", "change"), p=1.0)
    return transform


def apply_lookup_table(image: Pixels, levels: NDArray[np.floating]) -> Pixels:
    """Replace each value v by levels[v], rounded and clipped; levels: [256], or [256, 3] for a table a channel."""
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8).reshape(256, 1, -1)
    return np.asarray(cv2.LUT(image, table), dtype=np.uint8)


def apply_remedy(name: str, pixels: Pixels, low: float, high: float, seed: int) -> Pixels:
    """Give each image the remedy at a strength of its own draw from [low, high].

    pixels: uint8 [N, S, S, 3], left as it is; returns the same shape. Decided by its arguments alone: the same
    seed gives the same result whatever ran before. Raises `KeyError` for an unknown remedy, `ValueError` for a
    strength that it does not know.
    """
    pipeline = A.Compose(
        [plugins.load_plugin("remedies", name).build_transform(low, high)], seed=seed, strict=True
    )
    treated = np.empty(pixels.shape, dtype=np.uint8)
    for row, image in enumerate(pixels):
        treated[row] = pipeline(image=np.ascontiguousarray(image))["image"]
    return treated


def list_interventions() -> list[tuple[str, float]]:
    """Every registered remedy with each of its strengths, in the order of the list."""
    strengths = {
        name: plugins.load_plugin("remedies", name).STRENGTHS
        for name in plugins.list_plugins("remedies")
    }
    return [(name, float(strength)) for name in strengths for strength in strengths[name]]


def find_training_remedy(name: str, low: float, high: float) -> str:
    """The remedy that stands in for `name` in training at strengths between low and high: itself where none RENDERS it."""
    for other in plugins.list_plugins("remedies"):
        plugin = plugins.load_plugin("remedies", other)
        if getattr(plugin, "RENDERS", None) == name:
            sides = {
                high <= plugin.NEUTRAL_STRENGTH: plugin.CAUSE_WORDS[0],
                low >= plugin.NEUTRAL_STRENGTH: plugin.CAUSE_WORDS[1],
            }
            if sides.get(True):
                return other
    return name


def describe_intervention(name: str, strength: float) -> str:
    """An intervention in plain words, such as "exposure x2", "rotated by 20 degrees" or "mirrored"."""
    text: str = getattr(
        plugins.load_plugin("remedies", name), "STRENGTH_FORMAT", f"{name} {{strength:.3g}}"
    )
    return text.format(strength=strength)


def phrase_intervention(name: str, strength: float) -> str:
    """`describe` as one says it: "twice the exposure", "half the contrast", "1.5 times the exposure"."""
    what = getattr(plugins.load_plugin("remedies", name), "MULTIPLIED_QUANTITY", None)
    if what is None:
        return describe_intervention(name, strength)
    return f"{FACTOR_WORDS.get(strength, f'{strength:.3g} times')} the {what}"
