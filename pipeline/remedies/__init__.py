"""Remedies: transforms, used as an intervention at probe time and as an augmentation in training.

A plug-in `pipeline/remedies/<name>.py` defines `build_transform(low, high)`, which returns an
albumentations transform that always applies, with a strength drawn between low and high; and
`invert_strength(strength)`, the strength that undoes it, or None. The first paragraph of the
docstring of `build_transform` describes the remedy in the report. Constants:

- STRENGTHS: strengths that the probe tries, in both directions if there are two.
- NEUTRAL_STRENGTH: the strength that changes nothing; None if every strength changes the image.
- CAUSE_WORDS: what an image is after a strength below, and after one above NEUTRAL_STRENGTH: "too
  dark", "too bright". The second one counts if that is None. An empty word: no image is like that
  by itself, and the probe tries such strengths as a repair alone.
- IS_ORDERED: whether the effect grows with the distance from NEUTRAL_STRENGTH.
- IS_CAUSE: whether it occurs in real images, unlike a normalization.
- MAY_CHANGE_LABEL: whether the image may change its class.

Optional:

- STRENGTH_FORMAT: the intervention in plain words, with `{strength}`.
- MULTIPLIED_QUANTITY: what the strength multiplies, for "twice the exposure".
- IS_STACKABLE: whether it treats every row of pixels by itself, so that images on top of each other
  are treated as each would be, in one call.
- RENDERED_REMEDY: the remedy that this one renders more realistically. It takes that remedy's place
  in training on the sides of neutral that have a word in CAUSE_WORDS.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from string import Formatter
from typing import Protocol, cast

# Otherwise the import asks the network for the newest version.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A
import cv2
import numpy as np
from albumentations.augmentations.mixing.domain_adaptation_functional import match_histograms
from numpy.typing import NDArray

from pipeline import plugins

Pixels = NDArray[np.uint8]
FACTOR_WORDS = {0.25: "a quarter of", 0.5: "half", 2.0: "twice"}
StrengthTransform = Callable[[Pixels, float, np.random.Generator], Pixels]
"""Our own transform: (uint8 [H, W, 3], strength, generator) -> a new image of the same shape."""


class Remedy(Protocol):
    """Members of a remedy's module.

    Optional members are `STRENGTH_FORMAT`, `MULTIPLIED_QUANTITY`, `IS_STACKABLE` and
    `RENDERED_REMEDY`.

    Attributes:
        STRENGTHS: strengths tried as interventions; empty if it renders another remedy.
        NEUTRAL_STRENGTH: the strength that changes nothing, or None.
        CAUSE_WORDS: what images of a strength below and above neutral are, such as "too dark".
        IS_ORDERED: whether the effect grows with the distance from neutral.
        IS_CAUSE: whether it can happen to images by itself, unlike a normalization.
        MAY_CHANGE_LABEL: whether the image may show another class afterwards.
    """

    STRENGTHS: tuple[float, ...]
    NEUTRAL_STRENGTH: float | None
    CAUSE_WORDS: tuple[str, str]
    IS_ORDERED: bool
    IS_CAUSE: bool
    MAY_CHANGE_LABEL: bool

    def build_transform(self, low: float, high: float) -> A.BasicTransform:
        """Return the transform whose strength is drawn from [low, high]."""
        ...

    def invert_strength(self, strength: float) -> float | None:
        """Return the strength that undoes `strength`, or None."""
        ...


def list_remedies() -> tuple[str, ...]:
    """Return the names of all remedies."""
    return plugins.list_plugins("remedies")


def load_remedy(name: str) -> Remedy:
    """Return the module of a remedy.

    Raises:
        KeyError: there is no such remedy.
        InputError: it comes from another distribution and lacks a member.
    """
    return cast(Remedy, plugins.load_plugin("remedies", name))


def wrap_transform(
    transform_pixels: StrengthTransform, low: float, high: float, *, is_log_uniform: bool = False
) -> A.BasicTransform:
    """Return a transform that calls `transform_pixels` with a strength drawn from [low, high].

    It replaces transforms that albumentations 2.0.8 has only inexactly: those truncate gray levels
    instead of rounding them, which darkens the image and changes it at the neutral strength.

    Args:
        transform_pixels: our own transform of one image.
        low: lowest strength.
        high: highest strength; equal to `low` for a fixed strength.
        is_log_uniform: draw the logarithm uniformly instead of the strength.

    Raises:
        ValueError: the range is empty, or not positive although it is log-uniform.
    """
    if not low <= high or (is_log_uniform and low <= 0):
        positive = "positive and " if is_log_uniform else ""
        raise ValueError(f"strengths must be {positive}in order, got {low} to {high}")

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
    """Return the image with each value v replaced by levels[v], rounded and clipped.

    Args:
        image: uint8 [H, W, 3].
        levels: [256], or [256, 3] for one table a channel.
    """
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8).reshape(256, 1, -1)
    return np.asarray(cv2.LUT(image, table), dtype=np.uint8)


def apply_remedy(name: str, pixels: Pixels, low: float, high: float, seed: int) -> Pixels:
    """Return each image with the remedy applied, at a strength drawn for it from [low, high].

    The result depends on the arguments alone: the same seed gives the same result, whatever ran
    before.

    Args:
        name: name of the remedy.
        pixels: uint8 [N, S, S, 3]; not modified.
        low: lowest strength.
        high: highest strength.
        seed: seed of the draws.

    Raises:
        KeyError: the remedy is unknown.
        ValueError: the remedy does not support the strength.
    """
    plugin = load_remedy(name)
    pipeline = A.Compose([plugin.build_transform(low, high)], seed=seed, strict=True)
    if low == high and len(pixels) and getattr(plugin, "IS_STACKABLE", False):
        stack = np.ascontiguousarray(pixels).reshape(-1, *pixels.shape[2:])
        return np.asarray(pipeline(image=stack)["image"]).reshape(pixels.shape)
    treated = np.empty(pixels.shape, dtype=np.uint8)
    for row, image in enumerate(pixels):
        treated[row] = pipeline(image=np.ascontiguousarray(image))["image"]
    return treated


def transfer_tones(pixels: Pixels, tone_images: Pixels, seed: int) -> Pixels:
    """Return each image with the gray levels of a tone image, channel by channel.

    Source: Gonzalez and Woods 2018, section 3.3 (histogram matching).

    Args:
        pixels: uint8 [n, S, S, 3]; not modified.
        tone_images: images to draw one from for each image, uint8 [m, S, S, 3], m > 0.
        seed: seed of the draws.
    """
    drawn_rows = np.random.default_rng(seed).integers(len(tone_images), size=len(pixels))
    toned = np.empty(pixels.shape, dtype=np.uint8)
    for row, drawn_row in enumerate(drawn_rows):
        toned[row] = match_histograms(pixels[row], tone_images[drawn_row])
    return toned


def list_interventions() -> list[tuple[str, float]]:
    """Return every registered remedy with each of its strengths."""
    strengths = {name: load_remedy(name).STRENGTHS for name in list_remedies()}
    return [(name, float(strength)) for name in strengths for strength in strengths[name]]


def find_training_remedy(name: str, low: float, high: float) -> str:
    """Return the remedy to use in training for `name` at strengths between low and high.

    It is the remedy that renders `name` more realistically, if there is one, else `name` itself.

    Args:
        name: name of the remedy.
        low: lowest strength.
        high: highest strength.
    """
    for other in list_remedies():
        plugin = load_remedy(other)
        neutral = plugin.NEUTRAL_STRENGTH
        if neutral is not None and getattr(plugin, "RENDERED_REMEDY", None) == name:
            sides = {high <= neutral: plugin.CAUSE_WORDS[0], low >= neutral: plugin.CAUSE_WORDS[1]}
            if sides.get(True):
                return other
    return name


@dataclass(frozen=True)
class StrengthFormat:
    """The parts of a `STRENGTH_FORMAT`, such as "rotated by", "", ".3g" and " degrees".

    Attributes:
        lead: words before the number.
        prefix: characters that touch the number, such as the "x" of "exposure x2".
        number_format: format specification of the number; None if the text holds no number.
        suffix: everything after the number.
    """

    lead: str
    prefix: str
    number_format: str | None
    suffix: str

    def format_number(self, strength: float) -> str:
        """Return the number with the characters that touch it: "x2" for exposure."""
        return self.prefix + format(strength, self.number_format or ".3g")


def split_strength_format(name: str) -> StrengthFormat:
    """Return the parts of a remedy's strength format."""
    text = getattr(load_remedy(name), "STRENGTH_FORMAT", f"{name} {{strength:.3g}}")
    pieces = list(Formatter().parse(text))
    before, field, number_format, _ = pieces[0]
    if field is None:
        return StrengthFormat(before, "", None, "")
    lead, _, prefix = before.rpartition(" ")
    return StrengthFormat(lead, prefix, number_format, pieces[1][0] if len(pieces) > 1 else "")


def describe_intervention(name: str, strength: float) -> str:
    """Return an intervention in plain words, with its strength in its own unit.

    >>> describe_intervention("exposure", 2.0), describe_intervention("rotation", 20.0)
    ('exposure x2', 'rotated by 20 degrees')
    """
    return describe_strength_range(name, strength, strength)


def describe_strength_range(name: str, low: float, high: float) -> str:
    """Return a range of interventions in plain words, with strengths in their own unit.

    >>> describe_strength_range("exposure", 0.15, 0.4), describe_strength_range("blur", 1.0, 2.5)
    ('exposure x0.15 to x0.4', 'blurred by 1 to 2.5 px')

    Args:
        name: name of the remedy.
        low: lowest strength.
        high: highest strength.
    """
    parts = split_strength_format(name)
    if parts.number_format is None:
        return parts.lead
    numbers = dict.fromkeys((parts.format_number(low), parts.format_number(high)))
    return f"{parts.lead} {' to '.join(numbers)}{parts.suffix}".strip()


def phrase_intervention(name: str, strength: float) -> str:
    """Return an intervention as spoken.

    >>> phrase_intervention("exposure", 2.0), phrase_intervention("exposure", 1.5)
    ('twice the exposure', '1.5 times the exposure')
    """
    quantity = getattr(load_remedy(name), "MULTIPLIED_QUANTITY", None)
    if quantity is None:
        return describe_intervention(name, strength)
    return f"{FACTOR_WORDS.get(strength, f'{strength:.3g} times')} the {quantity}"
