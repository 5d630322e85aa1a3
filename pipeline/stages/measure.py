"""Measures every attribute of every image, on the stored file rather than on the small copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.attributes import DecodedImage, list_attributes, load_measures
from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.data.reading.image_decoding import ImageError
from pipeline.data.reading.image_intake import map_in_order
from pipeline.data.reading.image_sources import open_image

PIXEL_SOURCES = (
    "pixels",
    "native",
)  # what the bytes decide: reusable wherever the bytes are the same
AttributeFunctions = Mapping[str, Callable[[DecodedImage], float]]
_EMPTY_IMAGE: NDArray[np.uint8] = np.zeros((0, 0, 3), dtype=np.uint8)


class Config(StageSettings):
    """Settings of the measuring."""

    workers: int | None = Field(
        None, ge=1, description="threads that decode and measure; empty: one a core, 8 at most"
    )
    max_side: int = Field(
        1024, ge=64, description="a larger image is measured on a copy of this longer side, in px"
    )


def run(config: Config, context: StageContext, *, images: pd.DataFrame) -> StageOutputs:
    """Make `attributes`: one row a image as in `images`, one float64 column an attribute, NaN where unknown.

    What was measured earlier on the same bytes is taken over; a image that cannot be read any more is noted.
    """
    known, unreadable, first = _load_known_values(context), 0, ""
    fresh = np.flatnonzero(~images["image_id"].isin(known.index).to_numpy())
    values = known.reindex(images["image_id"]).to_numpy(dtype=np.float64, copy=True)
    ask = partial(_measure_image, config.max_side, load_measures(PIXEL_SOURCES))
    measured = map_in_order(_iterate_rows(images.iloc[fresh]), ask, config.workers)
    for at, (row, reason) in context.track_progress(
        zip(fresh, measured, strict=True), total=len(fresh), unit="images"
    ):
        values[at] = row
        if reason:
            first = first or f"{images['path'].iloc[at]} ({reason})"
            unreadable += 1
    if unreadable:
        context.add_note(
            f"{unreadable} images could not be read again, so their attributes are unknown; first: {first}"
        )
    rest = load_measures(("metadata",))
    told = np.array(
        [
            _compute_values(row.build_decoded_image(_EMPTY_IMAGE), rest)
            for row in _iterate_rows(images)
        ]
    ).reshape(len(images), len(rest))
    table = pd.DataFrame(np.hstack([values, told]), columns=[*known.columns, *rest])[
        list(list_attributes())
    ]
    table.insert(0, "image_id", pd.Series(images["image_id"].to_numpy(), dtype="str"))
    return {"attributes": table}


class _ImageRow(NamedTuple):
    """What is asked of one row of `images`."""

    source: str
    captured_at: datetime | None
    width: int
    height: int

    def build_decoded_image(self, pixels: NDArray[np.uint8]) -> DecodedImage:
        return DecodedImage(pixels, self.captured_at, self.width, self.height)


def _iterate_rows(images: pd.DataFrame) -> Iterator[_ImageRow]:
    for row in images[list(_ImageRow._fields)].itertuples(index=False, name=None):
        source, time, width, height = row
        shot_at = None if pd.isna(time) else pd.Timestamp(time).to_pydatetime(warn=False)
        yield _ImageRow(str(source), shot_at, int(width), int(height))


def _load_known_values(context: StageContext) -> pd.DataFrame:
    """What an earlier run measured on pictures, by image_id; images of which it knew nothing are left to be tried
    again."""
    columns = list(list_attributes(PIXEL_SOURCES))
    table: pd.DataFrame | None = (context.previous_outputs or {}).get("attributes")
    if table is None or not set(columns) <= set(table.columns):
        return pd.DataFrame(columns=columns, index=pd.Index([], dtype="str"), dtype=np.float64)
    return table[table[columns].notna().any(axis=1)].set_index("image_id")[columns]


def _measure_image(
    max_side: int, measure_functions: AttributeFunctions, row: _ImageRow
) -> tuple[list[float], str]:
    """The values of `chosen`, and the reason why there are none."""
    try:
        pixels = shrink_image(open_image(row.source, max_side), max_side)
    except ImageError as error:
        return [float("nan")] * len(measure_functions), str(error)
    return _compute_values(row.build_decoded_image(pixels), measure_functions), ""


def shrink_image(pixels: NDArray[np.uint8], max_side: int) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] with its longer side at most `max_side` px; a smaller image is left as it is."""
    height, width = pixels.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _compute_values(image: DecodedImage, measure_functions: AttributeFunctions) -> list[float]:
    return [float(function(image)) for function in measure_functions.values()]
