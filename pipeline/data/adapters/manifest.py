"""A table that lists images: `metadata.csv`, `.jsonl` or `.parquet`, or any other table.

`metadata.*` is the layout of Hugging Face's imagefolder.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from pipeline.contracts import InputError
from pipeline.data.layout.undecided_data import UndecidedDataError
from pipeline.data.reading.file_tree import FileTree, open_tree
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    ImageRecord,
    ReadOptions,
    RejectedFile,
    explain_non_image,
    is_image,
)
from pipeline.data.tables.manifest_plan import MANIFEST_NAMES, plan_manifest
from pipeline.data.tables.manifest_rows import read_table_rows

SUPPORTED_OPTIONS = ("file", "label", "table", "photos", "multi")


def can_read(tree: FileTree, options: ReadOptions = DEFAULT_READ_OPTIONS) -> str | None:
    """Return which tables list labeled images, or None."""
    try:
        plan = plan_manifest(tree, options)
    except InputError:  # reading says why
        return "a manifest that cannot be read"
    return f"a manifest, {' and '.join(plan.names)}" if plan else None


def read_images(
    tree: FileTree | Path, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> Iterator[ImageRecord | RejectedFile]:
    """Yield the images of a table with their files and labels, in each row one.

    The columns are those that the config names, or `file_name` and `label`, or those whose values
    are images and classes. `split`, `group` and `captured_at` are used if present. File names are
    relative to the manifest's folder, absolute, or addresses (https, s3, ...). If none of them
    exists, a common shift of their paths is looked for (`path_resolution`). Labels and groups are
    text. Folders give no label. All other columns are kept, and those of other tables that list
    the same images are added. Rejected with a reason: rows without their file or label, listed
    twice, or outside the folder; unlisted files.

    Raises:
        InputError: a manifest cannot be read.
        UndecidedDataError: the evidence decides no table or no label.
    """
    tree = open_tree(tree, options.should_follow_links)
    plan = plan_manifest(tree, options)
    if plan is None:
        raise InputError(f"ingest.data: {tree.root}: no {' or '.join(MANIFEST_NAMES[:3])} in it")
    if plan.problem:
        message = f"ingest.data: {tree.root}: {plan.problem}"
        raise UndecidedDataError(message, plan.list_settings())
    listed_paths = set[str]()
    for table in plan.tables:
        for item in read_table_rows(table, plan, options):
            listed_paths.add(item.path)
            yield item
    for rejected_file in tree.rejected_files:
        if rejected_file.path not in listed_paths:
            yield rejected_file
    yield from _reject_unlisted_files(tree, {table.name for table in plan.tables}, listed_paths)


def _reject_unlisted_files(
    tree: FileTree, tables: Collection[str], listed_paths: set[str]
) -> Iterator[RejectedFile]:
    for name in tree.file_names:
        if name not in listed_paths and name not in tables:
            yield RejectedFile(
                name, "not listed in the manifest" if is_image(name) else explain_non_image(name)
            )
