"""Tables and lists beside class folders: the columns and splits that they add, or why they stop."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.data.layout.folder_layout import FolderLayout
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import MetadataValue, ReadOptions
from pipeline.data.tables.column_kinds import is_function_of, is_same_partition
from pipeline.data.tables.image_lists import ImageList, find_image_lists
from pipeline.data.tables.listing_tables import ListingTable, is_submission, survey_tables
from pipeline.data.tables.table_files import convert_to_scalar, infer_column_type


@dataclass(frozen=True)
class FolderTables:
    """What tables and lists say of images that folders label.

    Attributes:
        columns: values by column name and path of the image.
        splits: split by path of the image.
        names: the tables and lists that are used.
        problem: a file that contradicts the folders, as one sentence; None if there is none.
    """

    columns: Mapping[str, Mapping[str, MetadataValue]] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    names: Sequence[str] = ()
    problem: str | None = None

    def get_columns(self, path: str) -> dict[str, MetadataValue]:
        """Return the metadata of an image."""
        return {name: values.get(path) for name, values in self.columns.items()}


def find_folder_tables(tree: FileTree, layout: FolderLayout, options: ReadOptions) -> FolderTables:
    """Return the columns and splits that tables and lists add to images in class folders."""
    labels = _list_labels(tree, layout, options)
    columns: dict[str, dict[str, MetadataValue]] = {}
    names: list[str] = []
    problems: list[str] = []
    splits = _SplitCollector()
    for table in survey_tables(tree, options).listing:
        listed = [path for path in table.rows_by_image if path in labels]
        if is_submission(table.name) or not listed:
            continue
        names.append(table.name)
        columns |= _read_columns(table, listed, set(columns))
        splits.add_table(table, frozenset(listed))
    for image_list in find_image_lists(tree, options.image_folder):
        problem = _find_contradiction(image_list, labels)
        if problem:
            problems.append(problem)
        else:
            names.append(image_list.name)
            splits.add_list(image_list)
    problem = problems[0] if problems else None
    return FolderTables(columns, splits.finish(), names, problem)


def _list_labels(tree: FileTree, layout: FolderLayout, options: ReadOptions) -> dict[str, str]:
    labels = {}
    for folder, files in tree.index_images(options.image_folder).files_by_folder.items():
        item = layout.labels.get(folder)
        if item and item.label:
            for name in files:
                labels[f"{folder}/{name}" if folder else name] = item.label
    return labels


def _read_columns(
    table: ListingTable, listed: Sequence[str], taken: set[str]
) -> dict[str, dict[str, MetadataValue]]:
    columns = {}
    for name, values in table.columns.items():
        if name != table.file_column and name not in taken:
            typed = infer_column_type(values)
            columns[name] = {
                path: convert_to_scalar(typed[table.rows_by_image[path]]) for path in listed
            }
    return columns


class _SplitCollector:
    """Collects the split of images from tables and lists; several words for one are dropped."""

    def __init__(self) -> None:
        self._by_column: dict[str, str] = {}
        self._by_name: dict[str, str] = {}

    def add_table(self, table: ListingTable, listed: Collection[str]) -> None:
        self._by_column |= {p: s for p, s in table.splits_by_image.items() if p in listed}
        if table.split:
            self._by_name.update(dict.fromkeys(listed, table.split))

    def add_list(self, image_list: ImageList) -> None:
        if image_list.split:
            self._by_name.update(dict.fromkeys(image_list.words, image_list.split))

    def finish(self) -> dict[str, str]:
        is_divided = len(set(self._by_name.values())) > 1
        return self._by_column or (self._by_name if is_divided else {})


def _find_contradiction(image_list: ImageList, labels: Mapping[str, str]) -> str | None:
    """Return why a list speaks against the folders: other images, or other classes."""
    labeled = [path for path in image_list.words if path in labels]
    way_out = "ingest.adapter=folder labels by folder alone"
    if len(labeled) * 2 < len(image_list.words):
        return (
            f"{image_list.name} lists {len(image_list.words) - len(labeled)} images that are in no "
            f"class folder, and it is not read; {way_out}"
        )
    columns = image_list.find_label_words()
    folder_labels = [labels[path] for path in labeled]
    for words in columns:
        values = [words[path] for path in labeled]
        if is_same_partition(values, folder_labels) or is_function_of(values, folder_labels):
            return None
    if columns:
        example = next(iter(columns[0].values()))
        return (
            f"{image_list.name} lists the images with other classes than the folders (such as "
            f"{example!r}); {way_out}"
        )
    return None
