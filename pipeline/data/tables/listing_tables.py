"""Tables of a data set that list its images, and what their columns mean."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from pipeline.contracts import InputError
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import TABLE_SUFFIXES, ReadOptions
from pipeline.data.reading.path_resolution import PathResolver
from pipeline.data.reading.split_words import parse_table_split, split_into_words
from pipeline.data.tables.column_inference import InferredColumns, infer_columns
from pipeline.data.tables.label_forms import fold_class_columns, fold_several_columns
from pipeline.data.tables.table_files import TableColumns, convert_to_text, read_table

MAX_TABLES = 40
"""Tables up to which all are read; more of them are one for each image or box."""
_MAX_TABLE_DEPTH = 3
_SUBMISSION_WORDS = frozenset(["submission", "submissions", "submit", "predictions", "prediction", "preds"])
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
        if _SOLUTION_WORDS & set(split_into_words(self.name)):
            return "test"
        return parse_table_split(self.name)

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
        """Whether the label is decided, by the config or by a column's name."""
        if self.options.label_column:
            return self.label_column is not None
        return self.inferred.is_label_named

    @cached_property
    def resolver(self) -> PathResolver:
        """Resolves the names of the rows."""
        names = [convert_to_text(value) for value in self.columns[str(self.file_column)]]
        folder = self.name.rpartition("/")[0]
        return PathResolver(self.tree, folder, names, self.split, self.options.image_folder)

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
    names = []
    for name in tree.file_names:
        is_table = os.path.splitext(name)[1].lower() in TABLE_SUFFIXES
        if is_table and name.count("/") <= _MAX_TABLE_DEPTH:
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
    index = tree.index_images()
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
    for name in names:
        try:
            columns = fold_class_columns(read_columns(tree, name), options.label_column)
        except InputError as error:
            unreadable[name] = error
            continue
        inferred = infer_columns(columns, index)
        if inferred.label is None and not inferred.candidates and not options.label_column:
            columns, several = fold_several_columns(columns)
            inferred = replace(inferred, label=several)
        table = ListingTable(tree, name, columns, inferred, options)
        if (table.file_column and (table.file_column == inferred.file or options.file_column)) or ("file_name" in columns and inferred.file is None):
            listing.append(table)
        else:
            others[name] = columns
    return TableSurvey(listing, others, unreadable)


def is_submission(name: str) -> bool:
    """Return whether a table is the form for predictions of a competition, by its name."""
    return bool(_SUBMISSION_WORDS & set(split_into_words(name.rpartition("/")[2])))
