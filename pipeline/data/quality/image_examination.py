"""Examination of single images for the health check: header, light, sharpness, a small copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.data.dataset_reader import read_dataset
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_decoding import ImageError, ImageHeader, letterbox_image
from pipeline.data.reading.image_intake import hash_image
from pipeline.data.reading.image_record import (
    SPLIT_ALIASES,
    ImageRecord,
    MetadataValue,
    RejectedFile,
    explain_non_image,
    is_image,
    parse_datetime,
)
from pipeline.data.reading.image_sources import decode_source, fetch_bytes, read_source_header
from pipeline.data.reading.pattern_search import search_first_groups
from pipeline.data.recognition.read_plan import ReadPlan

COMPARISON_SIDE = 64
"""Side in pixels of the copies that are compared for near-duplicates."""
MEASUREMENT_SIDE = 128
"""Longest side in pixels of the copy that is measured, so that images of all sizes compare."""

MeasureFunction = Callable[[NDArray[np.uint8]], tuple[float, float]]
"""Function of uint8 [H, W, 3] that returns luminance (0 to 255) and sharpness (log10 of 1 + the
variance of the Laplacian)."""

_TABLE_COLUMNS = (
    "path",
    "content",
    "label",
    "split",
    "group",
    "hour",
    "width",
    "height",
    "luminance",
    "sharpness",
)


@dataclass(frozen=True)
class ExaminedImage:
    """A usable image and its measurements.

    Attributes:
        record: the image as its adapter lists it.
        content_hash: hash of its bytes and crop.
        header: header of the image, or of its crop.
        luminance: mean luminance, 0 to 255.
        sharpness: log10 of 1 + the variance of the Laplacian.
    """

    record: ImageRecord
    content_hash: str
    header: ImageHeader
    luminance: float
    sharpness: float


def list_entries(root: Path, plan: ReadPlan) -> Iterator[ImageRecord | RejectedFile]:
    """Yield every entry of a data set; without an adapter, every image is an unlabeled one."""
    options = replace(plan.options, is_label_required=False)
    if plan.adapter is not None:
        yield from read_dataset(root, plan.adapter, options)
        return
    tree = FileTree(root, options.should_follow_links)
    yield from tree.rejected_files
    for name in tree.file_names:
        if is_image(name):
            yield ImageRecord(tree.get_source(name), name, None)
        else:
            yield RejectedFile(name, explain_non_image(name))


def examine_image(
    record: ImageRecord, measure: MeasureFunction
) -> tuple[ExaminedImage, NDArray[np.uint8]] | RejectedFile:
    """Return an image with its measurements and a copy of it, uint8 [64, 64, 3]."""
    try:
        data = fetch_bytes(record.source)
        header = read_source_header(record.source, data)
        pixels = decode_source(record.source, data, MEASUREMENT_SIDE, header)
        is_small = max(pixels.shape) <= MEASUREMENT_SIDE
        measured_pixels = pixels if is_small else letterbox_image(pixels, MEASUREMENT_SIDE)
        luminance, sharpness = measure(measured_pixels)
        content_hash = hash_image(record, data)[1]
        copy = letterbox_image(pixels, COMPARISON_SIDE)
    except ImageError as error:
        return RejectedFile(record.path, str(error))
    return ExaminedImage(record, content_hash, header, luminance, sharpness), copy


def build_image_table(examined_images: Sequence[ExaminedImage], plan: ReadPlan) -> pd.DataFrame:
    """Return one row for each image.

    The columns are path, content (hash), label, split, group, hour, width, height (pixels),
    luminance and sharpness.
    """
    rows = []
    groups = _list_groups([examined.record for examined in examined_images], plan)
    for examined, group in zip(examined_images, groups, strict=True):
        record = examined.record
        header = examined.header
        given_split = _get_text(record, plan.split_column, record.split)
        split = None if plan.is_split_ignored else given_split
        column_time = record.columns.get(plan.time_column) if plan.time_column else None
        time = parse_datetime(column_time) or record.captured_at or header.captured_at
        rows.append(
            {
                "path": record.path,
                "content": examined.content_hash,
                "label": record.label,
                "split": SPLIT_ALIASES.get(split.lower()) if split else None,
                "group": group,
                "hour": None if time is None else time.hour,
                "width": header.width,
                "height": header.height,
                "luminance": examined.luminance,
                "sharpness": examined.sharpness,
            }
        )
    dtypes = dict.fromkeys(("label", "split", "group"), "str")
    dtypes |= dict.fromkeys(("luminance", "sharpness"), "float")
    return pd.DataFrame(rows, columns=list(_TABLE_COLUMNS)).astype(dtypes)


def _list_groups(records: Sequence[ImageRecord], plan: ReadPlan) -> list[str | None]:
    if plan.group_pattern is None:
        return [_get_text(record, plan.group_column, record.group) for record in records]
    paths = [record.path for record in records]
    return search_first_groups(plan.group_pattern, paths, "ingest.group_pattern")


def _get_text(record: ImageRecord, column: str | None, default: MetadataValue) -> str | None:
    """Return the value of a column as text, or `default` if no column is named."""
    value = record.columns.get(column) if column else default
    return None if value is None else str(value)
