"""How a data set is read: its adapter, the adapter's options, and the columns with a meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.contracts import InputError
from pipeline.data.adapters.manifest import (
    find_manifest_shift,
    find_manifests,
    list_image_stems,
    read_columns,
)
from pipeline.data.dataset_reader import find_adapter, read_dataset
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    ImageRecord,
    ReadOptions,
    RejectedFile,
    is_image,
    parse_datetime,
)
from pipeline.data.tables.column_inference import GROUP_WORDS, contains_word, infer_columns
from pipeline.data.tables.label_forms import find_label_columns

MIN_GROUPS = 10
"""Groups below which a column is not proposed: splits by so few groups would be too coarse."""
_DEFAULT_COLUMNS = {"file": "file_name", "label": "label", "split": "split"}
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
    """

    adapter: str | None
    options: ReadOptions = DEFAULT_READ_OPTIONS
    group_column: str | None = None
    time_column: str | None = None
    split_column: str | None = None


def find_group_column(records: Sequence[ImageRecord]) -> str | None:
    """Return the column that names groups, by its name and the number of its values.

    It has at least ten values, and fewer than there are images. The result is None if there is no
    such column, or if the data set defines groups itself.
    """
    if not records or any(record.group for record in records):
        return None
    columns = list(dict.fromkeys(name for record in records for name in record.columns))
    for word in GROUP_WORDS:
        for column in columns:
            if contains_word(column, word):
                values = {record.columns.get(column) for record in records}
                if MIN_GROUPS <= len(values) < len(records):
                    return column
    return None


def build_read_plan(root: Path, should_follow_links: bool = False) -> ReadPlan:
    """Return how to read `root` without a config.

    The adapter is None if no adapter recognizes `root`, but there are images.

    Raises:
        InputError: there are no images, or the file that lists them cannot be read.
    """
    options = ReadOptions(should_follow_links=should_follow_links)
    try:
        find_adapter(root, options)
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
            mixed_count += "several classes" in item.reason
        else:
            single_count += 1
    return mixed_count > single_count


def _infer_manifest_plan(
    root: Path, options: ReadOptions, description: str
) -> tuple[ReadPlan, str]:
    tree = FileTree(root, options.should_follow_links)
    name = next(iter(find_manifests(tree)))
    columns = read_columns(tree, name)
    inferred = infer_columns(columns, list_image_stems(tree))
    inferred["label"] = (
        find_label_columns(
            columns, "label" if "label" in columns else inferred["label"], list(inferred.values())
        )
        or inferred["label"]
    )
    file_column = "file_name" if "file_name" in columns else inferred["file"] or ""
    shift = find_manifest_shift(tree, name, file_column)
    if shift:
        description += f"; {_describe_shift(*shift)}"
    for key, default in _DEFAULT_COLUMNS.items():
        if default in columns:
            inferred[key] = None
    if any(map(parse_datetime, columns.get("captured_at", []))):
        inferred["time"] = None
    options = replace(options, file_column=inferred["file"], label_column=inferred["label"])
    plan = ReadPlan(
        "manifest", options, time_column=inferred["time"], split_column=inferred["split"]
    )
    return plan, description


def _describe_shift(old_prefix: str, new_prefix: str) -> str:
    """Return how the file names of a manifest are resolved if none is an image as listed."""
    if old_prefix and new_prefix:
        place = f"with {new_prefix!r} instead of {old_prefix!r}"
    elif old_prefix:
        place = f"without {old_prefix!r}"
    elif new_prefix:
        place = f"below {new_prefix!r}"
    else:
        place = "by their names without suffix"
    return f"its images are found {place}"
