"""What can be measured on one image. One file is one attribute is one function.

A plugin `pipeline/attributes/<name>.py` holds the function `<name>(shot) -> float` (NaN where unknown) and
UNIT: what the number counts; WORDS: adjectives for a low and for a high value; PERIOD: 24.0 for hours, None
for what does not wrap round; SOURCE: `pixels` (from the picture), `native` (from the picture as it was
stored: resizing changes its meaning) or `metadata` (never looks at the pixels). Where a bare number says nothing to a
reader, the file also holds `show(value) -> str`. A mean over the picture hardly changes when a JPEG is decoded at a
half to an eighth of its size; there the file holds REDUCED, by how much at most: `predict` then measures the reduced
copy, and the whole image only where a rule's limit lies as near as that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import plugins

ATTRIBUTE_SOURCES = ("pixels", "native", "metadata")


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """One image. pixels: uint8 [H, W, 3] RGB; width, height: of the stored file, in px; captured_at: camera time."""

    pixels: NDArray[np.uint8]
    captured_at: datetime | None
    width: int
    height: int

    @cached_property
    def luma(self) -> NDArray[np.uint8]:
        """Rec. 601 luma, uint8 [H, W]."""
        return np.asarray(cv2.cvtColor(self.pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)

    @property
    def is_native(self) -> bool:
        """Whether the pixels are those of the stored file, neither reduced nor enlarged."""
        return sorted(self.pixels.shape[:2]) == sorted((self.width, self.height))


def list_attributes(sources: Collection[str] = ATTRIBUTE_SOURCES) -> tuple[str, ...]:
    """The registered attributes whose SOURCE is among `sources`, in the order of the list."""
    return tuple(
        n
        for n in plugins.list_plugins("attributes")
        if plugins.load_plugin("attributes", n).SOURCE in sources
    )


def load_measures(
    sources: Collection[str] = ATTRIBUTE_SOURCES,
) -> dict[str, Callable[[DecodedImage], float]]:
    """The functions of those attributes by name; NaN is their word for unknown."""
    return {
        name: plugins.load_plugin("attributes", name).measure for name in list_attributes(sources)
    }


def get_reduction_tolerance(name: str) -> float | None:
    """By how much at most the value is another where a JPEG is decoded at a reduced size; None: it has to be whole."""
    found = getattr(plugins.load_plugin("attributes", name), "REDUCTION_TOLERANCE", None)
    return None if found is None else float(found)


def measure_images(pixels: NDArray[np.uint8]) -> pd.DataFrame:
    """Measure copies of one size: uint8 [N, side, side, 3] to one row each, one float column an attribute.

    Leaves out what comes from metadata. Compare only with values measured on copies of the same size.
    """
    chosen = load_measures(("pixels", "native"))
    values = np.full((len(pixels), len(chosen)), np.nan)
    for row, image in enumerate(pixels):
        shot = DecodedImage(np.ascontiguousarray(image), None, image.shape[1], image.shape[0])
        values[row] = [function(shot) for function in chosen.values()]
    return pd.DataFrame(values, columns=list(chosen))
