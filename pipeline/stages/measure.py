"""Measures every attribute of every photo, on the stored file rather than on the small copy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.attributes import Shot, functions, names
from pipeline.config import Settings
from pipeline.contracts import Context, Made
from pipeline.datasets import ImageError, open_image

PICTURE = ("pixels", "native")  # what the bytes decide: reusable wherever the bytes are the same
Functions = Mapping[str, Callable[[Shot], float]]
_NOTHING: NDArray[np.uint8] = np.zeros((0, 0, 3), dtype=np.uint8)


class Config(Settings):
    """Settings of the measuring."""

    workers: int | None = Field(None, ge=1, description="threads that decode and measure; empty: one a core")
    max_side: int = Field(1024, ge=64, description="a larger photo is measured on a copy of this longer side, in px")


@dataclass(frozen=True)
class _Task:
    image_id: str
    source: str
    captured_at: datetime | None
    width: int
    height: int


def run(config: Config, context: Context, *, images: pd.DataFrame) -> Made:
    """Make `attributes`: one row a photo as in `images`, one float64 column an attribute, NaN where unknown.

    What was measured earlier on the same bytes is taken over; a photo that cannot be read any more is noted.
    """
    tasks = list(_tasks(images))
    known = _known(context)
    fresh = [task for task in tasks if task.image_id not in known]
    unreadable: list[str] = []
    paths = dict(zip(images["image_id"], images["path"], strict=True))
    for task, row, reason in context.track(_measured(fresh, config), total=len(fresh), what="photos"):
        known[task.image_id] = row
        if reason:
            unreadable.append(f"{paths[task.image_id]} ({reason})")
    if unreadable:
        context.note(
            f"{len(unreadable)} photos could not be read again, so their attributes are unknown; first: {unreadable[0]}"
        )
    rest = functions(("metadata",))
    shots = (Shot(_NOTHING, task.captured_at, task.width, task.height) for task in tasks)
    rows = [known[task.image_id] | _values(shot, rest) for task, shot in zip(tasks, shots, strict=True)]
    table = pd.DataFrame(rows, columns=list(names()), dtype=np.float64)
    table.insert(0, "image_id", pd.Series([task.image_id for task in tasks], dtype="str"))
    return {"attributes": table}


def _tasks(images: pd.DataFrame) -> Iterator[_Task]:
    times = [None if pd.isna(t) else pd.Timestamp(t).to_pydatetime(warn=False) for t in images["captured_at"]]
    for image_id, source, time, width, height in zip(
        images["image_id"], images["source"], times, images["width"], images["height"], strict=True
    ):
        yield _Task(str(image_id), str(source), time, int(width), int(height))


def _known(context: Context) -> dict[str, dict[str, float]]:
    """What an earlier run measured, by image_id; photos of which it knew nothing are left to be tried again."""
    columns = list(names(PICTURE))
    table: pd.DataFrame | None = (context.previous or {}).get("attributes")
    if table is None or not set(columns) <= set(table.columns):
        return {}
    table = table[table[columns].notna().any(axis=1)]
    values: list[dict[Any, Any]] = table[columns].to_dict("records")
    return dict(zip(map(str, table["image_id"]), values, strict=True))


def _measured(tasks: list[_Task], config: Config) -> Iterator[tuple[_Task, dict[str, float], str]]:
    """Each task with its values and the reason why there are none; at most `workers` photos are in memory."""
    chosen = functions(PICTURE)
    with ThreadPoolExecutor(config.workers or os.cpu_count() or 1) as pool:
        try:
            yield from pool.map(lambda task: (task, *_measure(task, config.max_side, chosen)), tasks)
        finally:
            pool.shutdown(cancel_futures=True)


def _measure(task: _Task, max_side: int, chosen: Functions) -> tuple[dict[str, float], str]:
    try:
        pixels = reduced(open_image(task.source, max_side), max_side)
    except ImageError as error:
        return dict.fromkeys(chosen, float("nan")), str(error)
    return _values(Shot(pixels, task.captured_at, task.width, task.height), chosen), ""


def reduced(pixels: NDArray[np.uint8], max_side: int) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] with its longer side at most `max_side` px; a smaller photo is left as it is."""
    height, width = pixels.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _values(shot: Shot, chosen: Functions) -> dict[str, float]:
    return {name: float(function(shot)) for name, function in chosen.items()}
