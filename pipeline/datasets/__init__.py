"""Data sets: one file = one plugin, a function `<name>(root) -> Iterator[Photo | Rejected]`.

Beside it stands `recognises(root) -> str | None`: one line that says what was seen, or None. A function that calls its
argument `tree` is given the `Tree` of the root, and so reads zips and tars as well; one that takes `options` is told
what the user said. A plugin lists photos and decodes none; `open_image` is the one way in which pixels come in.

Optional, for data that can be drawn: `SIMULATES`, names of remedies, and `simulate(wanted: Wanted) ->
Iterator[Simulated]`, fresh labelled photos under such a condition and dose (see `pipeline.datasets.simulator`).
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline import plugins
from pipeline.contracts import InputError
from pipeline.datasets.photo import (
    DEFAULTS,
    SPLITS,
    Options,
    Photo,
    Rejected,
    Value,
    is_image,
    moment,
    nearest,
    no_image,
)
from pipeline.datasets.picture import Header, ImageError, decode, header, letterbox
from pipeline.datasets.simulator import Simulated, Wanted
from pipeline.datasets.sources import open_image, path_of
from pipeline.datasets.tree import OUTSIDE, Tree, walk
from pipeline.datasets.unknown import why_none

__all__ = [
    "SPLITS",
    "Header",
    "ImageError",
    "Options",
    "Photo",
    "Rejected",
    "Simulated",
    "Tree",
    "Value",
    "Wanted",
    "decode",
    "header",
    "is_image",
    "letterbox",
    "moment",
    "nearest",
    "no_image",
    "open_image",
    "read",
    "recognise",
    "walk",
]


def _call(function: Callable[..., Any], tree: Tree, options: Options) -> Any:
    """Call a plugin's function with what its parameters ask for by name."""
    asked = inspect.signature(function).parameters
    first: Any = tree if next(iter(asked), "") == "tree" else tree.root
    return function(first, options=options) if "options" in asked else function(first)


def _recognise(tree: Tree, options: Options) -> tuple[str, str]:
    for name in plugins.names("datasets"):
        words = _call(plugins.module("datasets", name).recognises, tree, options)
        if words:
            return name, str(words)
    raise InputError(f"ingest.data: {tree.root}: {why_none(tree)}")


def recognise(root: Path, options: Options = DEFAULTS) -> tuple[str, str]:
    """The name of the first plugin that recognises `root`, and its line on what it saw; else `InputError`."""
    return _recognise(Tree(root, options.links), options)


def read(root: Path, adapter: str | None = None, options: Options = DEFAULTS) -> Iterator[Photo | Rejected]:
    """Every photo and every rejected file below `root`, as `adapter` (None: the first that recognises it) lists them.

    Raises `InputError` where the adapter is unknown or the data set cannot be read as a whole.
    """
    known = plugins.names("datasets")
    if adapter is not None and adapter not in known:
        raise InputError(f"ingest.adapter: no adapter {adapter!r}; {nearest(adapter, known)}")
    tree = Tree(root, options.links)
    name = adapter or _recognise(tree, options)[0]
    function = plugins.load("datasets", name)
    asked = inspect.signature(function).parameters
    for key in ("file", "label", "boxes"):
        if getattr(options, key) and key not in getattr(plugins.module("datasets", name), "OPTIONS", ()):
            raise InputError(f"ingest.{key}: the adapter {name} has no use for it; remove this key")
    found: Iterator[Photo | Rejected] = _call(function, tree, options)
    return found if "tree" in asked or options.links else _guarded(root, found)


def _guarded(root: Path, items: Iterator[Photo | Rejected]) -> Iterator[Photo | Rejected]:
    """Sets aside photos below `root` that a link takes out of it: for adapters that list files by themselves."""
    top, lies = os.path.realpath(root), os.path.abspath(root) + os.sep
    for item in items:
        path = path_of(item.source) if isinstance(item, Photo) else None
        if path and path.startswith(lies) and not os.path.realpath(path).startswith(top + os.sep):
            yield Rejected(item.path, OUTSIDE)
        else:
            yield item
