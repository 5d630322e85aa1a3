"""Measures every attribute of every photo, on the stored file rather than on the small copy."""

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

from pipeline.attributes import Shot, functions, names
from pipeline.config import Settings
from pipeline.contracts import Context, Made
from pipeline.datasets import ImageError, open_image
from pipeline.datasets.intake import in_order

PICTURE = ("pixels", "native")  # what the bytes decide: reusable wherever the bytes are the same
Functions = Mapping[str, Callable[[Shot], float]]
_NOTHING: NDArray[np.uint8] = np.zeros((0, 0, 3), dtype=np.uint8)


class Config(Settings):
    """Settings of the measuring."""

    workers: int | None = Field(None, ge=1, description="threads that decode and measure; empty: one a core, 8 at most")
    max_side: int = Field(1024, ge=64, description="a larger photo is measured on a copy of this longer side, in px")


def run(config: Config, context: Context, *, images: pd.DataFrame) -> Made:
    """Make `attributes`: one row a photo as in `images`, one float64 column an attribute, NaN where unknown.

    What was measured earlier on the same bytes is taken over; a photo that cannot be read any more is noted.
    """
    known, unreadable, first = _known(context), 0, ""
    fresh = np.flatnonzero(~images["image_id"].isin(known.index).to_numpy())
    values = known.reindex(images["image_id"]).to_numpy(dtype=np.float64, copy=True)
    ask = partial(_measure, config.max_side, functions(PICTURE))
    measured = in_order(_rows(images.iloc[fresh]), ask, config.workers)
    for at, (row, reason) in context.track(zip(fresh, measured, strict=True), total=len(fresh), what="photos"):
        values[at] = row
        if reason:
            first = first or f"{images['path'].iloc[at]} ({reason})"
            unreadable += 1
    if unreadable:
        context.note(f"{unreadable} photos could not be read again, so their attributes are unknown; first: {first}")
    rest = functions(("metadata",))
    told = np.array([_values(row.shot(_NOTHING), rest) for row in _rows(images)]).reshape(len(images), len(rest))
    table = pd.DataFrame(np.hstack([values, told]), columns=[*known.columns, *rest])[list(names())]
    table.insert(0, "image_id", pd.Series(images["image_id"].to_numpy(), dtype="str"))
    return {"attributes": table}


class _Row(NamedTuple):
    """What is asked of one row of `images`."""

    source: str
    captured_at: datetime | None
    width: int
    height: int

    def shot(self, pixels: NDArray[np.uint8]) -> Shot:
        return Shot(pixels, self.captured_at, self.width, self.height)


def _rows(images: pd.DataFrame) -> Iterator[_Row]:
    for row in images[list(_Row._fields)].itertuples(index=False, name=None):
        source, time, width, height = row
        shot_at = None if pd.isna(time) else pd.Timestamp(time).to_pydatetime(warn=False)
        yield _Row(str(source), shot_at, int(width), int(height))


def _known(context: Context) -> pd.DataFrame:
    """What an earlier run measured on pictures, by image_id; photos of which it knew nothing are left to be tried
    again."""
    columns = list(names(PICTURE))
    table: pd.DataFrame | None = (context.previous or {}).get("attributes")
    if table is None or not set(columns) <= set(table.columns):
        return pd.DataFrame(columns=columns, index=pd.Index([], dtype="str"), dtype=np.float64)
    return table[table[columns].notna().any(axis=1)].set_index("image_id")[columns]


def _measure(max_side: int, chosen: Functions, row: _Row) -> tuple[list[float], str]:
    """The values of `chosen`, and the reason why there are none."""
    try:
        pixels = reduced(open_image(row.source, max_side), max_side)
    except ImageError as error:
        return [float("nan")] * len(chosen), str(error)
    return _values(row.shot(pixels), chosen), ""


def reduced(pixels: NDArray[np.uint8], max_side: int) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] with its longer side at most `max_side` px; a smaller photo is left as it is."""
    height, width = pixels.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _values(shot: Shot, chosen: Functions) -> list[float]:
    return [float(function(shot)) for function in chosen.values()]
