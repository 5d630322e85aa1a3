"""Images that a table lists, row by row, and the reasons why rows are rejected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pandera

from pipeline.contracts import InputError
from pipeline.data.reading.folder_walk import OUTSIDE_REASON
from pipeline.data.reading.image_record import (
    SPLIT_ALIASES,
    ImageRecord,
    MetadataValue,
    ReadOptions,
    RejectedFile,
    is_image,
    parse_datetime,
    suggest_name,
)
from pipeline.data.reading.image_sources import REMOTE_PATTERN
from pipeline.data.reading.path_resolution import PathResolver
from pipeline.data.tables.label_forms import NO_LABEL_REASON, read_row_labels
from pipeline.data.tables.listing_tables import ListingTable
from pipeline.data.tables.manifest_plan import ManifestPlan, join_key_tables
from pipeline.data.tables.table_files import (
    TableColumns,
    convert_to_scalar,
    convert_to_text,
    infer_column_type,
)

_PATH_OUTSIDE_REASON = "its path leads out of the data set's folder"
_RESERVED_NAMES = ("split", "group", "captured_at")


def read_table_rows(
    table: ListingTable, plan: ManifestPlan, options: ReadOptions
) -> Iterator[ImageRecord | RejectedFile]:
    """Yield the image of each row of a table, or the reason why the row is rejected.

    Raises:
        InputError: the table has no column of files or labels, or no rows.
    """
    tree = table.tree
    shown_name = table.name or tree.root.name
    file, label = _require_columns(table, options)
    columns = table.columns
    resolver = table.resolver
    row_labels = read_row_labels(
        {**columns, file: resolver.paths}, (file, label), options, tree.root / table.name
    )
    rows = _build_rows(table, row_labels.labels, plan)
    schema = _build_row_schema(resolver, shown_name, options.is_label_required)
    rows.loc[list(row_labels.reasons), "once"] = ""  # what is rejected lists no image
    reasons = _find_row_errors(rows, schema)
    for row, reason in row_labels.reasons.items():
        if reasons.get(row, NO_LABEL_REASON) == NO_LABEL_REASON:
            reasons[row] = reason
    problems = {item.path: item.reason for item in tree.rejected_files}
    # Arriving images have no labels: a column that looks like one is metadata as well.
    is_guessed = not options.is_label_required and label not in ("label", options.label_column)
    others = _collect_columns(table, plan, {file, None if is_guessed else label, *_RESERVED_NAMES})
    empty_column = [None] * len(rows)
    groups, times = columns.get("group", empty_column), columns.get("captured_at", empty_column)
    labels = rows["label"].replace({np.nan: None}).tolist()
    splits = rows["split"].replace({np.nan: None}).tolist()
    for number, path in enumerate(resolver.paths):
        if number in reasons:
            yield RejectedFile(
                path or f"{shown_name} row {number + 1}", problems.get(path, reasons[number])
            )
            continue
        yield ImageRecord(
            resolver.get_source(path),
            path,
            labels[number],
            convert_to_text(groups[number]),
            parse_datetime(times[number]),
            splits[number],
            {c: convert_to_scalar(values[number]) for c, values in others.items()}
            | _keep_unparsed_time(times[number]),
        )


def _require_columns(table: ListingTable, options: ReadOptions) -> tuple[str, str | None]:
    """Return the columns of file and label.

    Raises:
        InputError: a column is missing, or there are no rows.
    """
    manifest_path = table.tree.root / table.name if table.name else table.tree.root
    column_names = list(table.columns)
    if not column_names or not len(table.columns[column_names[0]]):
        raise InputError(f"{manifest_path}: lists no images")
    file_name = options.file_column or "file_name"
    if table.file_column is None:
        use = "paths of the images below the manifest's folder"
        raise _describe_missing(manifest_path, column_names, file_name, use, "file")
    if table.label_column is None and options.is_label_required:
        label_name = options.label_column or "label"
        raise _describe_missing(manifest_path, column_names, label_name, "labels", "label")
    return table.file_column, table.label_column


def _describe_missing(
    manifest_path: Path, column_names: list[str], name: str, use: str, key: str
) -> InputError:
    return InputError(
        f"{manifest_path}: no column {name!r} ({use}); columns found: {', '.join(column_names)}; "
        f"{suggest_name(name, column_names)} (name it in ingest.{key}; ingest.adapter=folder "
        "labels by folder)"
    )


def _build_row_schema(
    resolver: PathResolver, manifest_name: str, is_label_required: bool
) -> pandera.DataFrameSchema:
    """Return the checks of a row; the `error` of a check is the reason for its rejection."""
    checks = [
        (lambda path: path == "", "no file name"),
        (resolver.is_outside, _PATH_OUTSIDE_REASON),
        (resolver.is_missing, f"listed in {manifest_name}, but there is no such file"),
        (resolver.is_linked_outside, OUTSIDE_REASON),
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


def _build_rows(table: ListingTable, labels: list[str | None], plan: ManifestPlan) -> pd.DataFrame:
    """Return the checked columns as text: path, label, split."""
    paths = table.resolver.paths
    default_split = plan.splits.get(table.name)
    splits = []
    for path, value in zip(paths, table.row_splits, strict=True):
        split = value or plan.split_by_image.get(path) or default_split
        splits.append(SPLIT_ALIASES.get(split.lower(), split) if split else None)
    frame = pd.DataFrame({"path": paths, "label": labels, "split": splits}, dtype="str")
    return frame.assign(once=frame["path"])


def _collect_columns(
    table: ListingTable, plan: ManifestPlan, reserved: set[str | None]
) -> TableColumns:
    """Return the columns of metadata: of the table, and of tables that are joined to it."""
    others: dict[str, list[Any]] = {}
    for column, values in table.columns.items():
        if column not in reserved:
            others[column] = _infer_types(table.name or table.tree.root.name, values)
    for side in plan.side_tables:
        rows = [side.rows_by_image.get(path) for path in table.resolver.paths]
        for column, values in side.columns.items():
            if column != side.file_column and column not in reserved and column not in others:
                typed = _infer_types(side.name, values)
                others[column] = [None if row is None else typed[row] for row in rows]
    known = {**table.columns, **others}
    for column, values in join_key_tables(known, plan.key_tables).items():
        if column not in reserved:
            others[column] = infer_column_type(values)
    return others


def _infer_types(name: str, values: list[Any]) -> list[Any]:
    is_text = name.lower().endswith((".csv", ".tsv"))
    return infer_column_type(values) if is_text else values


def _keep_unparsed_time(value: object) -> dict[str, MetadataValue]:
    """Return a time that cannot be parsed as text in its column."""
    text = convert_to_text(value)
    if text and parse_datetime(value) is None:
        return {"captured_at": text}
    return {}
