"""How a data set is read: its adapter, the adapter's options, and the columns with a meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter, read_dataset
from pipeline.data.layout.undecided_data import UndecidedDataError
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    ImageRecord,
    MixedImage,
    ReadOptions,
    RejectedFile,
    is_image,
    parse_datetime,
)
from pipeline.data.reading.path_resolution import BY_NAME
from pipeline.data.tables.group_columns import find_group_column
from pipeline.data.tables.listing_tables import list_table_names
from pipeline.data.tables.manifest_plan import ManifestPlan, plan_manifest

_DEFAULT_COLUMNS = {"file": "file_name", "label": "label"}
"""Names under which a manifest is read without any setting."""


@dataclass(frozen=True)
class ReadPlan:
    """How a data set is read.

    Attributes:
        adapter: name of the adapter; None if no adapter recognizes the data set.
        options: options of the adapter.
        group_column: column that gives the group.
        time_column: column that gives the capture time.
        split_column: column that gives the split.
        rivals: columns that may be meant instead, by `file` and `label`.
        group_pattern: regular expression whose match in the path is the group.
        is_split_ignored: whether the data set's own split is dropped.
        value_range: gray values of 16-bit images that become black and white; None for the range
            that the data set uses.
    """

    adapter: str | None
    options: ReadOptions = DEFAULT_READ_OPTIONS
    group_column: str | None = None
    time_column: str | None = None
    split_column: str | None = None
    rivals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    group_pattern: str | None = None
    is_split_ignored: bool = False
    value_range: tuple[int, int] | None = None


def build_read_plan(root: Path, should_follow_links: bool = False) -> ReadPlan:
    """Return how to read `root` without a config.

    The adapter is None if no adapter recognizes `root`, but there are images.

    Raises:
        InputError: there are no images, or the file that lists them cannot be read.
        UndecidedDataError: the data set can be read in several ways.
    """
    options = ReadOptions(should_follow_links=should_follow_links)
    try:
        find_adapter(root, options)
    except UndecidedDataError:
        raise
    except InputError:
        if not any(map(is_image, FileTree(root, should_follow_links).file_names)):
            raise
        return ReadPlan(None, options)
    plan, _ = infer_read_plan(root, should_follow_links)
    items = read_dataset(root, plan.adapter, replace(plan.options, is_label_required=False))
    records = [item for item in items if isinstance(item, ImageRecord)]
    return replace(plan, group_column=find_group_column(records))


def infer_read_plan(root: Path, should_follow_links: bool = False) -> tuple[ReadPlan, str]:
    """Return how to read `root`, without a group column, and one line on its format.

    Raises:
        InputError: no adapter recognizes `root`, or the file that lists the images is unreadable.
    """
    options = ReadOptions(should_follow_links=should_follow_links)
    adapter, description = find_adapter(root, options)
    if adapter == "coco":
        should_crop_boxes = _has_mostly_mixed_images(root, options)
        return ReadPlan(adapter, replace(options, should_crop_boxes=should_crop_boxes)), description
    if adapter != "manifest":
        return ReadPlan(adapter, options), description
    return _infer_manifest_plan(root, options, description)


def _has_mostly_mixed_images(root: Path, options: ReadOptions) -> bool:
    """Return whether more images of COCO annotations show several classes than one class."""
    single_count = 0
    mixed_count = 0
    for item in read_dataset(root, "coco", options):
        if isinstance(item, RejectedFile):
            mixed_count += isinstance(item, MixedImage)
        else:
            single_count += 1
    return mixed_count > single_count


def _infer_manifest_plan(
    root: Path, options: ReadOptions, description: str
) -> tuple[ReadPlan, str]:
    tree = FileTree(root, options.should_follow_links)
    manifest = plan_manifest(tree, options)
    if manifest is None or not manifest.tables or manifest.problem:
        return ReadPlan("manifest", options), description
    table = manifest.tables[0]
    shift = table.resolver.prefix_shift if table.file_column else None
    if shift:
        description += f"; {_describe_shift(*shift)}"
    if manifest.side_tables:
        names = ", ".join(side.name for side in manifest.side_tables)
        description += f"; columns of {names} are added"
    has_times = any(map(parse_datetime, table.columns.get("captured_at", [])))
    options = replace(
        options,
        file_column=_find_shared_column(manifest, "file"),
        label_column=_find_shared_column(manifest, "label"),
        table=_find_named_table(tree, manifest),
    )
    plan = ReadPlan(
        "manifest",
        options,
        time_column=None if has_times else table.inferred.time,
        split_column=None if "split" in table.columns else table.inferred.split,
        rivals=table.inferred.rivals,
    )
    return plan, description


def _find_shared_column(manifest: ManifestPlan, key: str) -> str | None:
    """Return the column of file or label if all tables have it, and its name is not the default."""
    columns = {
        table.file_column if key == "file" else table.label_column for table in manifest.tables
    }
    column = columns.pop()
    return None if columns or column == _DEFAULT_COLUMNS[key] else column


def _find_named_table(tree: FileTree, manifest: ManifestPlan) -> str | None:
    """Return the table to name in the config, if there are several and one is read."""
    names = list_table_names(tree)
    is_one_of_many = len(manifest.tables) == 1 and len(names) > 1
    is_conventional = manifest.names[0].rpartition("/")[2].startswith("metadata.")
    return manifest.names[0] if is_one_of_many and not is_conventional else None


def _describe_shift(old_prefix: str, new_prefix: str) -> str:
    """Return how the file names of a manifest are resolved if none is an image as listed."""
    if (old_prefix, new_prefix) == BY_NAME:
        place = "by their names, in several folders"
    elif old_prefix and new_prefix:
        place = f"with {new_prefix!r} instead of {old_prefix!r}"
    elif old_prefix:
        place = f"without {old_prefix!r}"
    elif new_prefix:
        place = f"below {new_prefix!r}"
    else:
        place = "by their names without suffix"
    return f"its images are found {place}"
