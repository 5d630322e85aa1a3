"""Attributes: numbers measured on one image. One module is one attribute.

A plug-in `pipeline/attributes/<name>.py` defines `measure(image: DecodedImage) -> float`, which
returns NaN if the value is unknown, and these constants:

- UNIT: unit of the value.
- LOW_HIGH_WORDS: adjectives for a low and for a high value.
- PERIOD: period of a circular value (24.0 for hours), else None.
- SOURCE: `pixels` (the decoded image), `native` (the image as stored: resizing changes the value)
  or `metadata` (pixels are not read).

Optional: `format_value(value) -> str`, if a bare number is hard to read; and
REDUCTION_TOLERANCE, the largest change of the value if a JPEG is decoded at a half to an eighth of
its size. `predict` then measures the reduced copy first, and the whole image only if the threshold
of a rule is that near.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Protocol, cast

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import plugins

ATTRIBUTE_SOURCES = plugins.ATTRIBUTE_SOURCES


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """One decoded image.

    Attributes:
        pixels: uint8 [H, W, 3], RGB.
        captured_at: time on the camera's clock; None if unknown.
        width: width of the stored file, in pixels.
        height: height of the stored file, in pixels.
    """

    pixels: NDArray[np.uint8]
    captured_at: datetime | None
    width: int
    height: int

    @cached_property
    def luma(self) -> NDArray[np.uint8]:
        """Return the Rec. 601 luma, uint8 [H, W]."""
        return np.asarray(cv2.cvtColor(self.pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)

    @property
    def is_native(self) -> bool:
        """Return whether the pixels have the size of the stored file, unscaled."""
        return sorted(self.pixels.shape[:2]) == sorted((self.width, self.height))


class Attribute(Protocol):
    """Members of an attribute's module.

    Optional members are `format_value` and `REDUCTION_TOLERANCE`.

    Attributes:
        UNIT: unit of the values.
        LOW_HIGH_WORDS: adjectives for a low and for a high value.
        PERIOD: length of the circle for periodic values, such as 24.0 for hours, or None.
        SOURCE: `pixels`, `native` (the stored image, not resized) or `metadata`.
    """

    UNIT: str
    LOW_HIGH_WORDS: tuple[str, str]
    PERIOD: float | None
    SOURCE: str

    def measure(self, image: DecodedImage) -> float:
        """Return the attribute of one image, NaN if it is unknown."""
        ...


def load_attribute(name: str) -> Attribute:
    """Return the module of an attribute.

    Raises:
        KeyError: there is no such attribute.
        InputError: it comes from another distribution and lacks a member.
    """
    return cast(Attribute, plugins.load_plugin("attributes", name))


def list_attributes(sources: Collection[str] = ATTRIBUTE_SOURCES) -> tuple[str, ...]:
    """Return the registered attributes whose SOURCE is among `sources`."""
    return tuple(
        n
        for n in plugins.list_plugins("attributes")
        if plugins.load_plugin("attributes", n).SOURCE in sources
    )


def load_measures(
    sources: Collection[str] = ATTRIBUTE_SOURCES,
) -> dict[str, Callable[[DecodedImage], float]]:
    """Return the `measure` functions of the attributes whose SOURCE is among `sources`, by name."""
    return {name: load_attribute(name).measure for name in list_attributes(sources)}


def get_reduction_tolerance(name: str) -> float | None:
    """Return the largest change of an attribute if a JPEG is decoded at a reduced size.

    None means that the whole image must be decoded.
    """
    tolerance = getattr(load_attribute(name), "REDUCTION_TOLERANCE", None)
    return None if tolerance is None else float(tolerance)


def measure_images(pixels: NDArray[np.uint8]) -> pd.DataFrame:
    """Return the attributes of images of one size, one row each and one float column an attribute.

    Attributes of the metadata are left out. Compare the values only
    between images of one size.

    Args:
        pixels: uint8 [N, side, side, 3].
    """
    chosen = load_measures(("pixels", "native"))
    values = np.full((len(pixels), len(chosen)), np.nan)
    for row, image in enumerate(pixels):
        decoded = DecodedImage(np.ascontiguousarray(image), None, image.shape[1], image.shape[0])
        values[row] = [function(decoded) for function in chosen.values()]
    return pd.DataFrame(values, columns=list(chosen))
