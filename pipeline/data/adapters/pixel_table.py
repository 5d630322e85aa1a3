"""CSV files whose rows hold the pixels of an image: FER2013, Fashion-MNIST and the like."""

from __future__ import annotations

import csv
import io
import math
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.contracts import InputError
from pipeline.data.reading import array_members
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    SPLIT_ALIASES,
    ImageRecord,
    ReadOptions,
    RejectedFile,
    is_image,
)
from pipeline.data.reading.image_sources import build_member_source, unpack_container
from pipeline.data.tables.listed_images import parse_list_split
from pipeline.data.tables.table_files import convert_to_text

SUPPORTED_OPTIONS = ("label",)
MIN_PIXELS = 49
"""Values of a row from which they may be an image: 7 x 7 pixels."""
_HEAD_BYTES = 2_000_000
_PIXEL_COLUMN_PATTERN = re.compile(r"(pixel|px|p|x|attr)?[ _-]?\d+(x\d+|\.\d+)?", re.IGNORECASE)
_USAGE_SPLITS = {**SPLIT_ALIASES, "publictest": "val", "privatetest": "test"}
_LABEL_NAMES = ("label", "class", "target", "emotion", "y", "digit", "category")


@dataclass(frozen=True)
class PixelTable:
    """A CSV of pixels.

    Attributes:
        columns: `first:last` of the pixel columns, as `load_pixel_rows` takes it.
        shape: height, width and channels.
        others: place of every other column, by its name.
    """

    columns: str
    shape: tuple[int, int, int]
    others: dict[str, int]


def _read_head(data: bytes) -> list[list[str]]:
    text = data[:_HEAD_BYTES].decode("utf-8-sig", "replace")
    rows = []
    for row in csv.reader(io.StringIO(text)):
        rows.append(row)
        if len(rows) == 4:
            break
    return rows


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _find_shape(count: int) -> tuple[int, int, int] | None:
    """Return height, width and channels of a square image of this number of values, or None."""
    for channels in (1, 3):
        side = math.isqrt(count // channels)
        if count >= MIN_PIXELS and side * side * channels == count:
            return side, side, channels
    return None


def _parse_head(rows: Sequence[Sequence[str]]) -> PixelTable | None:
    """Return where the pixels of a CSV are, or None if it holds none."""
    if len(rows) < 2 or len(rows[0]) != len(rows[1]):
        return None
    names, values = list(rows[0]), list(rows[1])
    for place, value in enumerate(values):
        numbers = value.split()
        shape = _find_shape(len(numbers)) if len(numbers) > 1 else None
        if shape and all(map(_is_number, numbers)):
            others = {n: k for k, n in enumerate(names) if k != place}
            return PixelTable(f"{place}:{place + 1}h", shape, others)
    if not all(map(_is_number, values)):
        return None
    if all(map(_is_number, names)) and not _is_pixel_header(names):
        return _find_headerless(len(names), [rows[0], *rows[1:]])
    pixels = [k for k, name in enumerate(names) if _PIXEL_COLUMN_PATTERN.fullmatch(name.strip())]
    if len(pixels) == len(names) and _find_shape(len(names)) is None:
        pixels = pixels[1:]  # the label has a number for a name too
    shape = _find_shape(len(pixels))
    if not shape or pixels[-1] - pixels[0] + 1 != len(pixels):
        return None
    others = {name: k for k, name in enumerate(names) if k not in set(pixels)}
    return PixelTable(f"{pixels[0]}:{pixels[-1] + 1}h", shape, others)


def _is_pixel_header(names: Sequence[str]) -> bool:
    """Return whether numbers are the names of columns: pandas writes `0, 0.1, 0.2` for equal ones.

    A header has no value twice.
    """
    return len(set(names)) == len(names)


def _find_headerless(width: int, rows: Sequence[Sequence[str]]) -> PixelTable | None:
    """Return where the pixels are in a table without a header: after or before the label."""
    shape = _find_shape(width - 1)
    if shape is None:
        return None
    is_last = all(float(row[0]) == 0 for row in rows) and any(float(row[-1]) for row in rows)
    first = 0 if is_last else 1
    return PixelTable(f"{first}:{first + width - 1}", shape, {"label": width - 1 if is_last else 0})


def _find_tables(tree: FileTree) -> dict[str, PixelTable]:
    """Return the tables of pixels by name; "" if the root is the table itself."""
    if tree.root_kind == "file":
        names = [""] if tree.root.suffix.lower() == ".csv" else []
    elif any(map(is_image, tree.file_names)):
        return {}
    else:
        names = [n for n in tree.file_names if n.lower().endswith(".csv") and n.count("/") <= 1]
    tables = {}
    for name in names[:20]:
        with open(unpack_container(_get_container(tree, name)), "rb") as file:
            table = _parse_head(_read_head(file.read(_HEAD_BYTES)))
        if table is not None:
            tables[name] = table
    return tables


def _get_container(tree: FileTree, name: str) -> str:
    return tree.get_container(name) if name else os.path.abspath(tree.root)


def can_read(tree: FileTree) -> str | None:
    """Return the tables whose rows hold pixels, and the size of their images; or None."""
    tables = _find_tables(tree)
    if not tables:
        return None
    height, width, channels = next(iter(tables.values())).shape
    color = "gray" if channels == 1 else "RGB"
    names = ", ".join(name or tree.root.name for name in tables)
    return f"pixels in the rows of {names}: {width} x {height} px, {color}"


def read_images(
    tree: FileTree, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> Iterator[ImageRecord | RejectedFile]:
    """Yield images whose pixels are the rows of a CSV: one column for each pixel, or all in one.

    Images are square, gray or RGB. The split is in a column (`Usage`), or in the file's name.

    Raises:
        InputError: no table holds pixels, or a table has no label.
    """
    tables = _find_tables(tree)
    if not tables:
        raise InputError(f"ingest.data: {tree.root}: no CSV in it holds pixels in its rows")
    yield from tree.rejected_files
    for name in tree.file_names:
        if name not in tables:
            yield RejectedFile(name, "not a table of pixels")
    has_labels = {name: _find_label(table, options) is not None for name, table in tables.items()}
    for name, table in tables.items():
        if not has_labels[name] and any(has_labels.values()) and options.is_label_required:
            yield RejectedFile(name, "its rows have no label")
            continue
        yield from _read_rows(tree, name, table, options)


def _find_label(table: PixelTable, options: ReadOptions) -> str | None:
    """Return the column of the label, or None."""
    if options.label_column:
        return options.label_column if options.label_column in table.others else None
    by_name = {name.strip().lower(): name for name in table.others}
    known = next((by_name[name] for name in _LABEL_NAMES if name in by_name), None)
    candidates = [n for n in table.others if n.strip().lower() not in ("id", "usage", "split", "")]
    return known or (candidates[0] if len(candidates) == 1 else None)


def _read_rows(
    tree: FileTree, name: str, table: PixelTable, options: ReadOptions
) -> Iterator[ImageRecord | RejectedFile]:
    container = _get_container(tree, name)
    path: Path = tree.root / name if name else tree.root
    label = _find_label(table, options)
    if label is None and options.is_label_required:
        raise InputError(
            f"{path}: its rows hold pixels, but which column is the label is not clear; name it in "
            f"ingest.label: {', '.join(table.others) or 'none'}"
        )
    try:
        pixels = array_members.load_pixel_rows(unpack_container(container), table.columns)
        columns = _load_other_columns(unpack_container(container), table)
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise InputError(
            f"{path}: its rows cannot be read as pixels: {' '.join(str(error).split())[:200]}"
        ) from error
    usage = next((c for c in columns if c.strip().lower() in ("usage", "split", "subset")), None)
    shape = "/".join(map(str, table.shape))
    for row in range(len(pixels)):
        text = convert_to_text(columns[label][row]) if label else None
        image_path = f"{posixpath.basename(name) or path.name}/{row:06d}"
        if text is None and options.is_label_required:
            yield RejectedFile(image_path, "no label")
            continue
        word = str(columns[usage][row]).lower() if usage else ""
        yield ImageRecord(
            build_member_source("pixels", container, f"{table.columns}/{shape}/{row}"),
            image_path,
            text,
            split=_USAGE_SPLITS.get(word) or parse_list_split(name),
        )


def _load_other_columns(path: str, table: PixelTable) -> dict[str, list[Any]]:
    if not table.others:
        return {}
    has_header = table.columns.endswith("h")
    places = list(table.others.values())
    frame = pd.read_csv(
        path, header=0 if has_header else None, usecols=places, index_col=False, dtype=str
    )
    by_place = dict(zip(sorted(places), frame.columns, strict=True))
    return {
        name: frame[by_place[place]].where(frame[by_place[place]].notna(), None).tolist()
        for name, place in table.others.items()
    }
