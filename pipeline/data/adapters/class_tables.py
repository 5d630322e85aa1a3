"""A table in each folder of images, all with the same columns: German traffic signs (GTSRB)."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.contracts import InputError
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    SPLIT_ALIASES,
    ImageRecord,
    ReadOptions,
    RejectedFile,
    explain_non_image,
    is_image,
)
from pipeline.data.tables.column_inference import infer_columns
from pipeline.data.tables.listed_images import parse_list_split
from pipeline.data.tables.table_files import (
    TableColumns,
    convert_to_scalar,
    convert_to_text,
    infer_column_type,
    read_table,
)

SUPPORTED_OPTIONS = ("file", "label")
MIN_TABLES = 3
"""Tables from which they are one for each folder."""
_MAX_TABLES = 5000
_SUFFIXES = (".csv", ".tsv")


@dataclass(frozen=True)
class FolderTables:
    """Tables with the same columns, each in a folder of images.

    Attributes:
        names: the tables.
        columns: values of all tables by column name.
        paths: path of the image of each row, which may not exist.
        file: column of file names.
        label: column of labels.
    """

    names: tuple[str, ...]
    columns: TableColumns
    paths: tuple[str, ...]
    file: str
    label: str


def _group_tables(tree: FileTree) -> list[str]:
    """Return the tables in folders of images, one in each; none if there are few."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    if sum(name.lower().endswith(_SUFFIXES) for name in tree.file_names) < MIN_TABLES:
        return []
    image_folders = {posixpath.dirname(name) for name in tree.file_names if is_image(name)}
    for name in tree.file_names:
        if name.lower().endswith(_SUFFIXES) and posixpath.dirname(name) in image_folders:
            by_folder[posixpath.dirname(name)].append(name)
    names = [tables[0] for tables in by_folder.values() if len(tables) == 1]
    are_splits = all(f.rpartition("/")[2].lower() in SPLIT_ALIASES for f in by_folder)
    if are_splits or "" in by_folder or not MIN_TABLES <= len(names) <= _MAX_TABLES:
        return []
    return names


def _find_tables(tree: FileTree, options: ReadOptions) -> FolderTables | None:
    names = _group_tables(tree)
    merged: TableColumns = {}
    folders: list[str] = []
    for name in names:
        try:
            columns = read_table(tree.read_file(name), tree.root / name)
        except InputError:
            return None
        merged = merged or {column: [] for column in columns}
        if list(columns) != list(merged):
            return None
        for column, values in columns.items():
            merged[column] += values
        folders += [posixpath.dirname(name)] * len(next(iter(columns.values()), []))
    inferred = infer_columns(merged) if merged else None
    file = options.file_column or (inferred.file if inferred else None)
    label = options.label_column or (inferred.label if inferred else None)
    if file not in merged or label not in merged:
        return None
    listed = zip(folders, map(convert_to_text, merged[file]), strict=True)
    paths = tuple(f"{folder}/{name or ''}" for folder, name in listed)
    file_names = frozenset(tree.file_names)
    if sum(path in file_names for path in paths) * 2 < len(paths):
        return None
    return FolderTables(tuple(names), merged, paths, file, label)


def can_read(tree: FileTree, options: ReadOptions = DEFAULT_READ_OPTIONS) -> str | None:
    """Return how many folders have a table of their images, or None."""
    if tree.root_kind not in ("folder", "zip", "tar"):
        return None
    found = _find_tables(tree, options)
    if found is None:
        return None
    return (
        f"{len(found.names)} tables, one in each folder (such as {found.names[0]}), with the label "
        f"in {found.label}"
    )


def read_images(
    tree: FileTree, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> Iterator[ImageRecord | RejectedFile]:
    """Yield images that the table in their folder lists, with the label of its column.

    The split is in the names of the folders (`Final_Training`). All other columns are kept.

    Raises:
        InputError: the folders have no tables with the same columns.
    """
    found = _find_tables(tree, options)
    if found is None:
        raise InputError(f"ingest.data: {tree.root}: no tables of its images in its folders")
    yield from tree.rejected_files
    file_names = frozenset(tree.file_names)
    others = {
        column: infer_column_type(values)
        for column, values in found.columns.items()
        if column not in (found.file, found.label)
    }
    listed = set[str]()
    for row, path in enumerate(found.paths):
        label = convert_to_text(found.columns[found.label][row])
        if path not in file_names or path in listed or not is_image(path):
            yield RejectedFile(f"{path} (row)", "listed in a table, but there is no such image")
            continue
        listed.add(path)
        if label is None and options.is_label_required:
            yield RejectedFile(path, "no label")
            continue
        columns = {column: convert_to_scalar(values[row]) for column, values in others.items()}
        source = tree.get_source(path)
        yield ImageRecord(source, path, label, split=_find_split(path), columns=columns)
    for name in tree.file_names:
        if name not in listed and name not in found.names:
            yield RejectedFile(name, "not listed" if is_image(name) else explain_non_image(name))


def _find_split(path: str) -> str | None:
    splits = {parse_list_split(part) for part in path.split("/")[:-1]} - {None}
    return splits.pop() if len(splits) == 1 else None
