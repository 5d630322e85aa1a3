"""A table that lists images: `metadata.csv`, `.jsonl` or `.parquet`, or any other table.

`metadata.*` is the layout of Hugging Face's imagefolder.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pandera

from pipeline.contracts import InputError
from pipeline.data.reading.file_tree import FileTree, open_tree
from pipeline.data.reading.folder_walk import OUTSIDE_REASON
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    SPLIT_ALIASES,
    TABLE_SUFFIXES,
    ImageRecord,
    MetadataValue,
    ReadOptions,
    RejectedFile,
    explain_non_image,
    is_image,
    parse_datetime,
    parse_split_name,
    suggest_name,
)
from pipeline.data.reading.image_sources import REMOTE_PATTERN
from pipeline.data.reading.path_resolution import PathResolver, PrefixShift, index_image_stems
from pipeline.data.tables.class_columns import split_names
from pipeline.data.tables.column_inference import InferredColumns, infer_columns
from pipeline.data.tables.label_forms import read_row_labels
from pipeline.data.tables.table_files import (
    TableColumns,
    convert_to_scalar,
    convert_to_text,
    infer_column_type,
    read_table,
)

MANIFEST_NAMES = (
    "metadata.csv",
    "metadata.jsonl",
    "metadata.parquet",
    "metadata.tsv",
    "metadata.xlsx",
    "_classes.csv",  # Roboflow
)
SUPPORTED_OPTIONS = ("file", "label", "multi")
_PATH_OUTSIDE_REASON = "its path leads out of the data set's folder"


def find_manifests(tree: FileTree) -> dict[str, str | None]:
    """Return the manifests by name, with the split of their folder (None in the root).

    Without any `metadata.*`, the one table in the root that has a column of file names counts.
    """
    if tree.root_kind == "file":
        return {"": None} if tree.root.suffix.lower() in TABLE_SUFFIXES else {}
    root_manifests = [name for name in MANIFEST_NAMES if name in tree.file_names]
    if root_manifests:
        return {root_manifests[0]: None}
    folders = sorted(
        name for name in tree.folders if name.rpartition("/")[2].lower() in SPLIT_ALIASES
    )
    file_names = frozenset(tree.file_names)
    manifests: dict[str, str | None] = {}
    for folder in folders:
        for manifest_name in MANIFEST_NAMES:
            path = f"{folder}/{manifest_name}"
            if path in file_names:
                manifests[path] = SPLIT_ALIASES[folder.rpartition("/")[2].lower()]
    return manifests or _find_listing_tables(tree)


def _find_listing_tables(tree: FileTree) -> dict[str, str | None]:
    """Return the one table in the root that lists images, or one for each split (`train.csv`)."""
    tables = [
        n
        for n in tree.file_names
        if "/" not in n and os.path.splitext(n)[1].lower() in TABLE_SUFFIXES
    ]
    inferred: dict[str, InferredColumns] = {}
    if len(tables) <= 5:
        for name in tables:
            columns = _infer_table_columns(tree, name)
            if columns["file"]:
                inferred[name] = columns
    if len(inferred) < 2:
        return dict.fromkeys(inferred)
    # A table without labels cannot be a split.
    splits = {name: parse_split_name(name) for name in inferred if inferred[name]["label"]}
    distinct = None not in splits.values() and len(set(splits.values())) == len(splits)
    return dict(splits) if distinct else {}


def _infer_table_columns(tree: FileTree, name: str) -> InferredColumns:
    """Return what the columns of a table may mean; nothing if it cannot be read."""
    try:
        return infer_columns(read_columns(tree, name), list_image_stems(tree))
    except InputError:
        return {"file": None}


def list_image_stems(tree: FileTree) -> frozenset[str]:
    """Return the stems of the images' names, for columns that hold no suffix."""
    return frozenset(map(posixpath.basename, index_image_stems(tree.file_names)))


def find_manifest_shift(tree: FileTree, name: str, file_column: str) -> PrefixShift | None:
    """Return how the file names of a manifest differ from the paths of the images.

    Args:
        tree: the data set.
        name: the manifest.
        file_column: its column of file names.
    """
    return PathResolver(
        tree,
        name.rpartition("/")[0],
        list(map(convert_to_text, read_columns(tree, name).get(file_column, []))),
    ).prefix_shift


def read_columns(tree: FileTree, name: str) -> TableColumns:
    """Return the columns of one manifest.

    Raises:
        InputError: it cannot be read.
    """
    table_path = tree.root if tree.root_kind == "file" else tree.root / name
    return read_table(tree.read_file(name), table_path)


def can_read(tree: FileTree, options: ReadOptions = DEFAULT_READ_OPTIONS) -> str | None:
    """Return which manifest there is: in the root, in each split's folder, or named itself.

    Or None.
    """
    manifest_names = [name or tree.root.name for name in find_manifests(tree)]
    return f"a manifest, {' and '.join(manifest_names)}" if manifest_names else None


def _require_columns(
    manifest_path: Path, columns: TableColumns, options: ReadOptions
) -> tuple[str, str]:
    """Return the columns of file and label.

    Raises:
        InputError: a column is missing, or there are no rows.
    """
    column_names = list(columns)
    file, label = options.file_column or "file_name", options.label_column or "label"
    if not column_names or not len(columns[column_names[0]]):
        raise InputError(f"{manifest_path}: lists no images")
    wanted = [
        (file, "paths of the images below the manifest's folder", "file"),
        (label, "labels", "label"),
    ]
    for name, use, key in wanted if options.is_label_required else wanted[:1]:
        if name not in column_names and not split_names(name, columns):
            raise InputError(
                f"{manifest_path}: no column {name!r} ({use}); "
                f"columns found: {', '.join(column_names)}; "
                f"{suggest_name(name, column_names)} "
                f"(name it in ingest.{key}, or let nightshift init guess; ingest.adapter=folder "
                "labels by folder)"
            )
    return file, label


def _build_row_schema(
    path_resolver: PathResolver, manifest_name: str, is_label_required: bool
) -> pandera.DataFrameSchema:
    """Return the checks of a row; the `error` of a check is the reason for its rejection."""
    checks = [
        (lambda path: path == "", "no file name"),
        (path_resolver.is_outside, _PATH_OUTSIDE_REASON),
        (path_resolver.is_missing, f"listed in {manifest_name}, but there is no such file"),
        (path_resolver.is_linked_outside, OUTSIDE_REASON),
        (
            lambda path: bool(path) and not REMOTE_PATTERN.match(path) and not is_image(path),
            "not an image file",
        ),
    ]
    wrong = [
        pandera.Check(lambda p, bad=bad: ~p.map(bad).astype(bool), error=reason)
        for bad, reason in checks
    ]
    first = pandera.Check(
        lambda p: ~p.duplicated() | (p == ""), error=f"listed more than once in {manifest_name}"
    )
    splits = pandera.Check(
        lambda s: s.isin(set(SPLIT_ALIASES.values())),
        error="its split is none of train, val and test",
    )
    return pandera.DataFrameSchema(
        {
            "path": pandera.Column(str, wrong),
            "once": pandera.Column(str, first),
            "label": pandera.Column(str, nullable=not is_label_required),
            "split": pandera.Column(str, splits, nullable=True),
        }
    )


def _find_row_errors(rows: pd.DataFrame, schema: pandera.DataFrameSchema) -> dict[int, str]:
    """Return the first failure of each invalid row by its number, in the order of the schema."""
    try:
        schema.validate(rows, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        reasons = cases["check"].where(cases["check"] != "not_nullable", "no label")
        # The first failure of a row is entered last, so it stays.
        return dict(zip(map(int, cases["index"][::-1]), map(str, reasons[::-1]), strict=True))
    return {}


def _build_rows(
    path_resolver: PathResolver,
    columns: TableColumns,
    labels: list[str | None],
    default_split: str | None,
) -> pd.DataFrame:
    """Return the checked columns as text: path, label, split."""
    empty_column = [None] * len(path_resolver.paths)
    splits = []
    for value in columns.get("split", empty_column):
        split = convert_to_text(value) or default_split
        splits.append(SPLIT_ALIASES.get(split.lower(), split) if split else None)
    frame = pd.DataFrame(
        {"path": path_resolver.paths, "label": labels, "split": splits}, dtype="str"
    )
    return frame.assign(once=frame["path"])


def _read_manifest(
    tree: FileTree, name: str, default_split: str | None, options: ReadOptions
) -> Iterator[ImageRecord | RejectedFile]:
    columns = read_columns(tree, name)
    shown_name = name or tree.root.name
    table_path = tree.root / name if name else tree.root
    file, label = _require_columns(table_path, columns, options)
    path_resolver = PathResolver(
        tree, name.rpartition("/")[0], list(map(convert_to_text, columns[file]))
    )
    row_labels = read_row_labels(
        {**columns, file: path_resolver.paths}, (file, label), options, table_path
    )
    reserved = {file, *row_labels.used_columns, "split", "group", "captured_at"}
    as_text = shown_name.lower().endswith((".csv", ".tsv"))
    others = {}
    for column, values in columns.items():
        if column not in reserved:
            others[column] = infer_column_type(values) if as_text else values
    rows = _build_rows(path_resolver, columns, row_labels.labels, default_split)
    reasons = row_labels.reasons | _find_row_errors(
        rows.drop(index=list(row_labels.reasons)),
        _build_row_schema(path_resolver, shown_name, options.is_label_required),
    )
    problems = {item.path: item.reason for item in tree.rejected_files}
    empty_column = [None] * len(rows)
    groups, times = columns.get("group", empty_column), columns.get("captured_at", empty_column)
    labels = rows["label"].replace({np.nan: None}).tolist()
    splits = rows["split"].replace({np.nan: None}).tolist()
    for number, path in enumerate(path_resolver.paths):
        if number in reasons:
            yield RejectedFile(
                path or f"{shown_name} row {number + 1}", problems.get(path, reasons[number])
            )
            continue
        yield ImageRecord(
            path_resolver.get_source(path),
            path,
            labels[number],
            convert_to_text(groups[number]),
            parse_datetime(times[number]),
            splits[number],
            {c: convert_to_scalar(values[number]) for c, values in others.items()}
            | _keep_unparsed_time(times[number]),
        )


def _keep_unparsed_time(value: object) -> dict[str, MetadataValue]:
    """Return a time that cannot be parsed as text in its column."""
    text = convert_to_text(value)
    if text and parse_datetime(value) is None:
        return {"captured_at": text}
    return {}


def _reject_unlisted_files(
    tree: FileTree, tables: Collection[str], listed_paths: set[str]
) -> Iterator[RejectedFile]:
    for name in tree.file_names:
        if name not in listed_paths and name not in tables:
            yield RejectedFile(
                name, "not listed in the manifest" if is_image(name) else explain_non_image(name)
            )


def read_images(
    tree: FileTree | Path, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> Iterator[ImageRecord | RejectedFile]:
    """Yield the images of a table with `file_name` and a label, in each row one.

    `split`, `group` and `captured_at` are used if present. File names are relative to the
    manifest's folder, absolute, or addresses (https, s3, ...). If none of them exists, a common
    shift of their paths is looked for (`path_resolution`). Labels and groups are text. Folders give
    no label. All other columns are kept. Rejected with a reason: rows without their file or label,
    listed twice, or outside the folder; unlisted files.

    Raises:
        InputError: a manifest cannot be read.
    """
    tree = open_tree(tree, options.should_follow_links)
    manifests = find_manifests(tree)
    if not manifests:
        raise InputError(f"ingest.data: {tree.root}: no {' or '.join(MANIFEST_NAMES[:3])} in it")
    listed_paths = set[str]()
    for name, split in manifests.items():
        for item in _read_manifest(tree, name, split, options):
            listed_paths.add(item.path)
            yield item
    for rejected_file in tree.rejected_files:
        if rejected_file.path not in listed_paths:
            yield rejected_file
    yield from _reject_unlisted_files(tree, manifests, listed_paths)
