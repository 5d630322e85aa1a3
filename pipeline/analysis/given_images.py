"""The images of an analysis, decoded once, as artifacts of the graph."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.analysis.image_fitting import ImageFitting
from pipeline.analysis.prediction_tables import RESERVED_COLUMNS
from pipeline.attributes import list_attributes
from pipeline.contracts import InputError, ProgressTracker, iterate_silently
from pipeline.data.reading.image_decoding import (
    ImageError,
    ImageHeader,
    decode_image,
    letterbox_image,
    read_header,
)
from pipeline.data.reading.image_sources import read_file
from pipeline.data.reading.ordered_threads import map_in_order
from pipeline.domain.group_source import GroupSource


@dataclass(frozen=True)
class _ImageFile:
    """One decoded image file."""

    content_hash: str
    header: ImageHeader
    pixels: NDArray[np.uint8]


def _load_image_file(image_path: Path, side: int, fitting: ImageFitting | None) -> _ImageFile | str:
    """Return one image, or the reason why it cannot be used."""
    try:
        data = read_file(str(image_path))
        head = read_header(data)
        if fitting is None:
            pixels = letterbox_image(decode_image(data, side, head), side)
        else:  # a model's own pipeline decodes the whole image
            pixels = fitting.fit_image(decode_image(data, None, head), side)
        return _ImageFile(hashlib.sha256(data).hexdigest()[:32], head, pixels)
    except ImageError as error:
        return str(error)


def load_table_images(
    table: pd.DataFrame,
    manifest: Path,
    side: int,
    track: ProgressTracker = iterate_silently,
    fitting: ImageFitting | None = None,
) -> tuple[pd.DataFrame, NDArray[np.uint8]]:
    """Return `images`, and `pixels` uint8 [N, side, side, 3], of a table.

    The group comes from the table, else the hash of the bytes: exact copies are one group.

    Args:
        table: the table of images.
        manifest: its path; image paths are relative to its folder.
        side: side of the pixels.
        track: progress tracker.
        fitting: how images are brought to the side; None to letterbox them.

    Raises:
        InputError: an image cannot be used; the message names the first one.
    """
    sources = [manifest.parent / path for path in table["path"]]
    pixels = np.empty((len(table), side, side, 3), np.uint8)
    hashes: list[str] = []
    headers: list[ImageHeader] = []
    errors: list[str] = []
    results = map_in_order(sources, lambda source: _load_image_file(source, side, fitting))
    for row, result in enumerate(track(results, total=len(sources), unit="images")):
        if isinstance(result, str):
            errors.append(f"{sources[row]} ({result})")
            continue
        pixels[row] = result.pixels
        hashes.append(result.content_hash)
        headers.append(result.header)
    if errors:
        raise InputError(
            f"{manifest}: {len(errors)} of {len(table)} images cannot be used, first {errors[0]}; "
            "remove the rows"
        )
    return _build_images_table(table, sources, hashes, headers), pixels


def _build_images_table(
    table: pd.DataFrame,
    image_paths: list[Path],
    content_hashes: list[str],
    headers: list[ImageHeader],
) -> pd.DataFrame:
    hashes = pd.Series(content_hashes, dtype="str")
    captured_at = pd.Series([header.captured_at for header in headers], dtype="datetime64[us]")
    sizes = np.array([(header.width, header.height) for header in headers], dtype=np.int64)
    columns: dict[str, Any] = {
        "image_id": table["image_id"],
        "content_hash": hashes,
        "path": table["path"],
        "source": pd.Series([str(path.resolve()) for path in image_paths], dtype="str"),
        "label": table["label"],
        "group": table.get("group", hashes),
        "group_source": str(GroupSource.GIVEN if "group" in table else GroupSource.BYTES),
        "captured_at": table.get("captured_at", captured_at),
        "width": sizes[:, 0],
        "height": sizes[:, 1],
        "given_split": pd.Series([None] * len(table), dtype="str"),
    }
    reserved = {*columns, *list_attributes(), "split"}
    for name in table.columns:
        if name not in RESERVED_COLUMNS:
            columns[f"{name}_" if name in reserved else str(name)] = table[name]
    return pd.DataFrame(columns)
