"""Data sets: one file = one plugin, a function `<name>(root) -> Iterator[Image | Rejected]`.

Beside it stands `recognizes(root) -> str | None`: one line that says what was seen, or None. A function that calls its
argument `tree` is given the `Tree` of the root, and so reads zips and tars as well; one that takes `options` is told
what the user said. A plugin lists images and decodes none; `open_image` is the one way in which pixels come in.

Optional, for data that can be drawn: `SIMULATES`, names of remedies, and `simulate(wanted: Wanted) ->
Iterator[Simulated]`, fresh labeled images under such a condition and strength (see `pipeline.data.reading.simulator_interface`).
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline import plugins
from pipeline.contracts import InputError
from pipeline.data.reading.file_tree import OUTSIDE_REASON, FileTree
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    ImageRecord,
    ReadOptions,
    RejectedFile,
    suggest_name,
)
from pipeline.data.reading.image_sources import get_local_path
from pipeline.data.reading.unrecognized_data import explain_unrecognized


def _call_adapter(
    adapter_function: Callable[..., Any], tree: FileTree, options: ReadOptions
) -> Any:
    """Call a plugin's function with what its parameters ask for by name."""
    asked = inspect.signature(adapter_function).parameters
    first: Any = tree if next(iter(asked), "") == "tree" else tree.root
    return (
        adapter_function(first, options=options) if "options" in asked else adapter_function(first)
    )


def _find_adapter(tree: FileTree, options: ReadOptions) -> tuple[str, str]:
    for name in plugins.list_plugins("adapters"):
        words = _call_adapter(plugins.load_plugin("adapters", name).can_read, tree, options)
        if words:
            return name, str(words)
    raise InputError(f"ingest.data: {tree.root}: {explain_unrecognized(tree)}")


def find_adapter(root: Path, options: ReadOptions = DEFAULT_READ_OPTIONS) -> tuple[str, str]:
    """The name of the first plugin that recognizes `root`, and its line on what it saw; else `InputError`."""
    return _find_adapter(FileTree(root, options.should_follow_links), options)


def read_dataset(
    root: Path, adapter: str | None = None, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> Iterator[ImageRecord | RejectedFile]:
    """Every image and every rejected file below `root`, as `adapter` (None: the first that recognizes it) lists them.

    Raises `InputError` where the adapter is unknown or the data set cannot be read as a whole.
    """
    known = plugins.list_plugins("adapters")
    if adapter is not None and adapter not in known:
        raise InputError(f"ingest.adapter: no adapter {adapter!r}; {suggest_name(adapter, known)}")
    tree = FileTree(root, options.should_follow_links)
    name = adapter or _find_adapter(tree, options)[0]
    function = plugins.load_plugin("adapters", name).read_images
    asked = inspect.signature(function).parameters
    for key in ("file", "label", "boxes"):
        if getattr(options, key) and key not in getattr(
            plugins.load_plugin("adapters", name), "SUPPORTED_OPTIONS", ()
        ):
            raise InputError(f"ingest.{key}: the adapter {name} has no use for it; remove this key")
    found: Iterator[ImageRecord | RejectedFile] = _call_adapter(function, tree, options)
    return (
        found
        if "tree" in asked or options.should_follow_links
        else _reject_outside_links(root, found)
    )


def _reject_outside_links(
    root: Path, items: Iterator[ImageRecord | RejectedFile]
) -> Iterator[ImageRecord | RejectedFile]:
    """Sets aside images below `root` that a link takes out of it: for adapters that list files by themselves."""
    top, lies = os.path.realpath(root), os.path.abspath(root) + os.sep
    for item in items:
        path = get_local_path(item.source) if isinstance(item, ImageRecord) else None
        if path and path.startswith(lies) and not os.path.realpath(path).startswith(top + os.sep):
            yield RejectedFile(item.path, OUTSIDE_REASON)
        else:
            yield item
