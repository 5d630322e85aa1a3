"""Tables of a data set that list its images, and what their columns mean."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from pipeline.contracts import InputError
from pipeline.data.layout.image_index import ImageIndex
from pipeline.data.layout.split_words import parse_table_split, split_into_words
from pipeline.data.reading.file_tree import FileTree, is_regular_file
from pipeline.data.reading.image_record import TABLE_SUFFIXES, ReadOptions
from pipeline.data.reading.image_sources import REMOTE_PATTERN
from pipeline.data.reading.path_resolution import PathResolver
from pipeline.data.tables.class_columns import find_class_columns
from pipeline.data.tables.column_inference import InferredColumns, LabelCandidate, infer_columns
from pipeline.data.tables.column_kinds import VALUE_SAMPLE_SIZE, find_split_mapping, sample_texts
from pipeline.data.tables.label_forms import fold_class_columns, fold_several_columns
from pipeline.data.tables.table_files import TableColumns, convert_to_text, read_table

MAX_TABLES = 40
"""Tables up to which all are read; more of them are one for each image or box."""
_MAX_TABLE_DEPTH = 3
_MANY_ROWS = 10
_FEW_ROWS = 4
_SUBMISSION_WORDS = frozenset(
    ["submission", "submissions", "submit", "predictions", "prediction", "preds"]
)
_SOLUTION_WORDS = frozenset(["solution", "solutions", "answers", "answer"])


@dataclass(frozen=True)
class ListingTable:
    """A table that lists images.

    Attributes:
        tree: the data set.
        name: its path in the data set; empty if it is the data set itself.
        columns: its values by column name.
        inferred: what its columns mean.
        options: read options.
    """

    tree: FileTree
    name: str
    columns: TableColumns
    inferred: InferredColumns
    options: ReadOptions

    @cached_property
    def split(self) -> str | None:
        """The split that the table's name, or else its folder's, says."""
        is_solution = bool(_SOLUTION_WORDS & set(split_into_words(self.name)))
        return parse_table_split(self.name) or ("test" if is_solution else None)

    @cached_property
    def file_column(self) -> str | None:
        """The column that names the images: of the config, by convention, or by evidence."""
        if self.options.file_column:
            return self.options.file_column if self.options.file_column in self.columns else None
        return "file_name" if "file_name" in self.columns else self.inferred.file

    @cached_property
    def label_column(self) -> str | None:
        """The column of the classes: of the config, by evidence, or by convention."""
        if self.options.label_column:
            return self.options.label_column if self.options.label_column in self.columns else None
        return self.inferred.label or ("label" if "label" in self.columns else None)

    @cached_property
    def has_labels(self) -> bool:
        """Whether a column is or may be the label."""
        if self.options.label_column or self.label_column:
            return self.label_column is not None
        return any(candidate.rank < 4 for candidate in self.inferred.candidates)

    @cached_property
    def is_label_named(self) -> bool:
        """Whether the label is decided, by the config or by a column's name, and varies."""
        if self.options.label_column:
            return self.label_column is not None and not self.has_idle_label
        return self.inferred.is_label_named

    @cached_property
    def has_idle_label(self) -> bool:
        """Whether the label is one value over many rows, as an unknown one is, or never repeats."""
        values = self.columns.get(str(self.label_column), [])
        class_count = len({value for value in values if value is not None})
        is_constant = len(values) >= _MANY_ROWS and class_count < 2
        return is_constant or (len(values) >= _FEW_ROWS and class_count == len(values))

    @cached_property
    def resolver(self) -> PathResolver:
        """Resolves the names of the rows."""
        names = [convert_to_text(value) for value in self.columns[str(self.file_column)]]
        folder = self.name.rpartition("/")[0]
        return PathResolver(self.tree, folder, names, self.split, self.options.image_folder)

    @cached_property
    def row_splits(self) -> Sequence[str | None]:
        """The split of each row, from the column `split` or the one that holds splits.

        Words in `split` that are none are kept, so that their rows can be rejected.
        """
        column = "split" if "split" in self.columns else self.inferred.split
        if column is None:
            return [None] * len(self.resolver.paths)
        values = list(map(convert_to_text, self.columns[column]))
        mapping = find_split_mapping(column, values) or {}
        return [mapping.get(value, value) if value else None for value in values]

    @cached_property
    def splits_by_image(self) -> Mapping[str, str]:
        """The split that a column gives each image."""
        splits = {}
        for path, row in self.rows_by_image.items():
            split = self.row_splits[row]
            if split:
                splits[path] = split
        return splits

    @cached_property
    def rows_by_image(self) -> Mapping[str, int]:
        """The first row of each image that exists."""
        rows: dict[str, int] = {}
        for number, path in enumerate(self.resolver.paths):
            if path in self.resolver.file_names:
                rows.setdefault(path, number)
        return rows


@dataclass(frozen=True)
class TableSurvey:
    """The tables of a data set.

    Attributes:
        listing: tables that list images.
        others: columns of the tables that list none, by name.
        unreadable: the error of each table that cannot be read, by name.
    """

    listing: Sequence[ListingTable] = ()
    others: Mapping[str, TableColumns] = field(default_factory=dict)
    unreadable: Mapping[str, InputError] = field(default_factory=dict)


def list_table_names(tree: FileTree) -> list[str]:
    """Return the tables of a data set; those in the root alone if there are very many."""
    suffixes = tuple(TABLE_SUFFIXES)
    names = []
    for name in tree.index_images().other_files:
        if name.lower().endswith(suffixes) and name.count("/") <= _MAX_TABLE_DEPTH:
            names.append(name)
    if len(names) > MAX_TABLES:
        names = [name for name in names if "/" not in name]
    return names if len(names) <= MAX_TABLES else []


def read_columns(tree: FileTree, name: str) -> TableColumns:
    """Return the columns of one table.

    Raises:
        InputError: it cannot be read.
    """
    path = tree.root if tree.root_kind == "file" else tree.root / name
    index = tree.index_images()  # empty for a table that is named itself
    return read_table(tree.read_file(name), path, lambda text: bool(index.find_by_name(text)))


def survey_tables(tree: FileTree, options: ReadOptions) -> TableSurvey:
    """Return which tables list images, and what their columns mean."""
    key = (survey_tables, options)
    if key not in tree.findings:
        tree.findings[key] = _survey_tables(tree, options)
    survey: TableSurvey = tree.findings[key]
    return survey


def _survey_tables(tree: FileTree, options: ReadOptions) -> TableSurvey:
    listing: list[ListingTable] = []
    others: dict[str, TableColumns] = {}
    unreadable: dict[str, InputError] = {}
    index = tree.index_images(options.image_folder)
    names = [""] if tree.root_kind == "file" else list_table_names(tree)
    raw_tables: dict[str, TableColumns] = {}
    for name in names:
        try:
            raw_tables[name] = read_columns(tree, name)
        except InputError as error:
            unreadable[name] = error
    tables, shared = _infer_shared_columns(raw_tables, index, options.label_column)
    for name, columns in tables.items():
        inferred = shared[name]
        if tree.root_kind == "file" and not _has_existing_file(tree, columns, inferred.file):
            neighbors = tree.neighbors.index_images(options.image_folder)
            inferred = _infer_columns(columns, raw_tables[name], neighbors)
        table = ListingTable(tree, name, columns, inferred, options)
        if (table.file_column and (table.file_column == inferred.file or options.file_column)) or (
            "file_name" in columns and inferred.file is None
        ):
            listing.append(table)
        else:
            others[name] = columns
    return TableSurvey(listing, others, unreadable)


def _infer_shared_columns(
    raw_tables: Mapping[str, TableColumns], index: ImageIndex, label: str | None
) -> tuple[dict[str, TableColumns], dict[str, InferredColumns]]:
    """Return the tables with their classes in one column, and what the columns of each mean.

    Tables with equal columns are judged as one.
    """
    by_names: dict[tuple[str, ...], list[str]] = {}
    for name, columns in raw_tables.items():
        own = (name,) if is_submission(name) else ()
        by_names.setdefault((*own, *columns), []).append(name)
    tables: dict[str, TableColumns] = {}
    inferred = {}
    for names in by_names.values():
        parts = [raw_tables[name] for name in names]
        merged = {c: [value for part in parts for value in part[c]] for c in parts[0]}
        folded = fold_class_columns(merged, label)
        meaning = _infer_columns(folded, merged, index)
        if meaning.label is None and not meaning.candidates and not label:
            folded, several = fold_several_columns(folded)
            meaning = replace(meaning, label=several)
        start = 0
        for name, part in zip(names, parts, strict=True):
            end = start + len(next(iter(part.values()), []))
            tables[name] = {c: list(values[start:end]) for c, values in folded.items()}
            inferred[name] = meaning
            start = end
    return {name: tables[name] for name in raw_tables}, inferred


def _infer_columns(
    columns: TableColumns, raw_columns: TableColumns, index: ImageIndex
) -> InferredColumns:
    """Return what columns mean; that of folded classes is the label if no name says another."""
    inferred = infer_columns(columns, index)
    folded = next((name for name in columns if name not in raw_columns), None)
    rivals = [c for c in inferred.candidates if c.column != folded]
    if folded is None and _is_one_of_many_marks(inferred, columns):
        return replace(inferred, label=None)
    if folded is None or any(c.rank < 2 for c in rivals):
        return inferred
    candidate = LabelCandidate(folded, folded.count(",") + 1, 1, False)
    return replace(inferred, label=folded, candidates=(candidate, *rivals))


def _is_one_of_many_marks(inferred: InferredColumns, columns: TableColumns) -> bool:
    """Return whether the label is one of several columns of 0 and 1, which are as likely."""
    label = inferred.label
    if label is None or label.lower() in ("label", "labels", "class", "target"):
        return False
    marks = find_class_columns(columns)
    return marks is not None and label in marks.names


def _has_existing_file(tree: FileTree, columns: TableColumns, column: str | None) -> bool:
    """Return whether a table that is named itself lists an address, or an image that exists."""
    texts = sample_texts(columns[column], VALUE_SAMPLE_SIZE) if column else []
    for text in texts:
        path = os.path.join(tree.root.parent, text)
        if REMOTE_PATTERN.match(text) or is_regular_file(path):
            return True
    return False


def is_submission(name: str) -> bool:
    """Return whether a table is the form for predictions of a competition, by its name."""
    return bool(_SUBMISSION_WORDS & set(split_into_words(name.rpartition("/")[2])))
