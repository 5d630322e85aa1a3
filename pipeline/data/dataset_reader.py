"""Choice of the adapter for a data set, and reading of the data set through it.

What an adapter defines is said in `pipeline.data.adapters`.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.contracts import InputError
from pipeline.data.adapters import list_adapters, load_adapter
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.folder_walk import OUTSIDE_REASON
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    ImageRecord,
    ReadOptions,
    RejectedFile,
    suggest_name,
)
from pipeline.data.reading.image_sources import get_local_path
from pipeline.data.recognition.unrecognized_data import explain_unrecognized


def _call_adapter(
    adapter_function: Callable[..., Any], tree: FileTree, options: ReadOptions
) -> Any:
    """Call a function of an adapter with the arguments that its parameters name."""
    root = tree if _takes_tree(adapter_function) else tree.root
    if "options" in inspect.signature(adapter_function).parameters:
        return adapter_function(root, options=options)
    return adapter_function(root)


def _takes_tree(adapter_function: Callable[..., Any]) -> bool:
    parameters = inspect.signature(adapter_function).parameters
    return next(iter(parameters), "") == "tree"


def _find_adapter(tree: FileTree, options: ReadOptions) -> tuple[str, str]:
    for name in list_adapters():
        description = _call_adapter(load_adapter(name).can_read, tree, options)
        if description:
            return name, str(description)
    raise InputError(f"ingest.data: {tree.root}: {explain_unrecognized(tree)}")


def find_adapter(root: Path, options: ReadOptions = DEFAULT_READ_OPTIONS) -> tuple[str, str]:
    """Return the first adapter that recognizes `root`, and its line on the format.

    Raises:
        InputError: no adapter recognizes `root`; the message says what to change.
    """
    return _find_adapter(FileTree(root, options.should_follow_links), options)


def read_dataset(
    root: Path, adapter: str | None = None, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> Iterator[ImageRecord | RejectedFile]:
    """Return an iterator over every image and every rejected file below `root`.

    Args:
        root: folder, archive or table of the data set.
        adapter: name of the adapter; None for the first that recognizes `root`.
        options: options of the adapter.

    Raises:
        InputError: there is no such adapter, it does not support an option, or the data set cannot
            be read as a whole.
    """
    adapters = list_adapters()
    if adapter is not None and adapter not in adapters:
        raise InputError(
            f"ingest.adapter: no adapter {adapter!r}; {suggest_name(adapter, adapters)}"
        )
    tree = FileTree(root, options.should_follow_links)
    name = adapter or _find_adapter(tree, options)[0]
    _check_options(name, options)
    function = load_adapter(name).read_images
    items: Iterator[ImageRecord | RejectedFile] = _call_adapter(function, tree, options)
    if _takes_tree(function) or options.should_follow_links:
        return items
    return _reject_outside_links(root, items)


def _check_options(adapter: str, options: ReadOptions) -> None:
    supported = getattr(load_adapter(adapter), "SUPPORTED_OPTIONS", ())
    config_values = {
        "file": options.file_column,
        "label": options.label_column,
        "crop_boxes": options.should_crop_boxes,
        "multi": options.several_labels != "error",
        "table": options.table,
        "photos": options.image_folder,
        "class_level": options.class_level,
    }
    for key, value in config_values.items():
        if value and key not in supported:
            raise InputError(f"ingest.{key}: the adapter {adapter} does not use it; remove it")


def _reject_outside_links(
    root: Path, items: Iterator[ImageRecord | RejectedFile]
) -> Iterator[ImageRecord | RejectedFile]:
    """Reject images below `root` that are links to files outside, for adapters without a tree."""
    real_root = os.path.realpath(root) + os.sep
    absolute_root = os.path.abspath(root) + os.sep
    for item in items:
        path = get_local_path(item.source) if isinstance(item, ImageRecord) else None
        is_below = path is not None and path.startswith(absolute_root)
        if path and is_below and not os.path.realpath(path).startswith(real_root):
            yield RejectedFile(item.path, OUTSIDE_REASON)
        else:
            yield item
